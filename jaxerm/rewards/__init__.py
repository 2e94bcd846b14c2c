"""What an attempt is worth: one result type, one protocol, and the rewards that keep to it."""

from jaxerm.rewards.attempts import Attempt
from jaxerm.rewards.protocol import Reward
from jaxerm.rewards.result import RewardResult, failed, scored, skipped, unscored
from jaxerm.rewards.scorer import Part, Scorer
from jaxerm.rewards.severity import SeverityReward, severity_rewards
from jaxerm.rewards.visual_erm import VisualERM

__all__ = [
    "Attempt", "Part", "Reward", "RewardResult", "Scorer", "SeverityReward", "VisualERM", "failed", "scored",
    "severity_rewards", "skipped", "unscored",
]  # fmt: skip
