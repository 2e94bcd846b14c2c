"""What an attempt is worth: one result type, and the rewards that give it."""

from jaxerm.rewards.result import RewardResult, failed, scored, unscored
from jaxerm.rewards.visual_erm import VisualERM, severity_rewards

__all__ = ["RewardResult", "VisualERM", "failed", "scored", "severity_rewards", "unscored"]
