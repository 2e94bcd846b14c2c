"""An OpenAI-compatible address to ask: a teacher or a judge. Retries, a log of what it cost, a cache on disk."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image

_AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_KEY = "OPENAI_API_KEY"


class ChatError(ConnectionError):
    """No answer: the address, the key or the network is at fault, not what was asked about."""


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
      text: what was said.
      prompt_tokens, completion_tokens: what the server counted; 0 where it does not say.
      cached: whether it came from the disk and cost nothing.
    """

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached: bool = False


class Chat:
    """Asks one model at one address. May be used from several threads.

    What was answered once is read from the disk ever after, so that work that was interrupted goes on where it was.

    Args:
      url: of the API, such as ``http://localhost:8000/v1``.
      model: name; the first one the server lists if None.
      cache: folder of answers; nothing is kept if None.
      log: JSON Lines file of what was asked when, tokens and price.
      prices: of a million prompt tokens and a million completion tokens, in one currency.
      retries: further tries after a fault that may pass; the wait doubles each time, or is what the server asks for.
      timeout_s: of one try.
      first_wait_s: the first wait.
      key: the environment variable OPENAI_API_KEY if None; a server at home needs none.
      transport: of httpx2, for tests.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        cache: str | Path | None = None,
        log: str | Path | None = None,
        prices: tuple[float, float] = (0.0, 0.0),
        retries: int = 5,
        timeout_s: float = 300.0,
        first_wait_s: float = 1.0,
        key: str | None = None,
        transport: httpx2.BaseTransport | None = None,
    ):
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is not an address: it begins with http:// or https://")
        self.url = url.rstrip("/")
        self._cache, self._log = (Path(path) if path is not None else None for path in (cache, log))
        self._prices, self._retries, self._first_wait_s = prices, retries, first_wait_s
        self._lock = threading.Lock()
        key = key if key is not None else os.environ.get(_KEY, "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx2.Client(headers=headers, timeout=timeout_s, transport=transport)
        self.model = model or self._first_model()

    def _first_model(self) -> str:
        listed = self._send("GET", "models", None)
        try:
            return str(listed["data"][0]["id"])
        except (LookupError, TypeError):
            raise ChatError(f"{self.url}/models lists no model; name one") from None

    def ask(
        self,
        messages: list[dict[str, Any]],
        *,
        temperature: float = 0.0,
        max_tokens: int = 4096,
        seed: int = 0,
        **further: Any,
    ) -> Reply:
        """One answer.

        Args:
          messages: as of `Prompts`: images are PIL images, uint8[H, W, 3] or paths.
          temperature, max_tokens, seed: of sampling; another seed is another question to the cache.
          further: what else the server may take, such as top_p.

        Raises:
          ChatError: the server cannot be reached, refuses, or answers something else than a chat completion.
        """
        body = {
            "model": self.model,
            "messages": [_wire(message) for message in messages],
            "temperature": temperature,
            "max_tokens": max_tokens,
            "seed": seed,
            **further,
        }
        name = hashlib.sha256(json.dumps([self.url, body], sort_keys=True).encode()).hexdigest()
        kept = self._cache / name[:2] / f"{name}.json" if self._cache is not None else None
        started = time.monotonic()
        known = kept is not None and kept.is_file()
        answer = json.loads(kept.read_text(encoding="utf-8")) if known else self._send("POST", "chat/completions", body)
        try:
            text = answer["choices"][0]["message"]["content"]
            usage = answer.get("usage") or {}
            reply = Reply(
                str(text or ""), int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0)), known
            )
        except (LookupError, TypeError, AttributeError):
            raise ChatError(f"{self.url} did not answer with a chat completion: {json.dumps(answer)[:200]}") from None
        if kept is not None and not known:
            _write(kept, json.dumps(answer, ensure_ascii=False))
        self._note(reply, time.monotonic() - started)
        return reply

    def ask_all(self, questions: Iterable[list[dict[str, Any]]], threads: int = 8, **how: Any) -> Iterator[Reply]:
        """Answers in the order of the questions, several asked at once."""
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(lambda messages: self.ask(messages, **how), questions)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        wait = self._first_wait_s
        for attempt in range(self._retries + 1):
            last = attempt == self._retries
            try:
                response = self._client.request(method, f"{self.url}/{path}", json=body)
            except httpx2.HTTPError as error:
                if last or not isinstance(error, httpx2.TransportError):
                    raise ChatError(f"{self.url} cannot be reached: {error or type(error).__name__}") from None
            else:
                if response.is_success:
                    try:
                        return response.json()
                    except ValueError:
                        raise ChatError(f"{self.url} did not answer with JSON: {response.text[:100]!r}") from None
                if response.status_code not in _AGAIN or last:
                    raise ChatError(f"{self.url} answers {response.status_code}: {response.text[:200]}")
                asked = response.headers.get("retry-after", "")
                wait = max(wait, float(asked)) if asked.replace(".", "", 1).isdigit() else wait
            time.sleep(wait)
            wait *= 2
        raise AssertionError("unreachable")

    def _note(self, reply: Reply, seconds: float) -> None:
        if self._log is None:
            return
        tokens = reply.prompt_tokens, reply.completion_tokens
        price = 0.0 if reply.cached else sum(n * p for n, p in zip(tokens, self._prices, strict=True)) / 1e6
        line = {
            "time": time.time(),
            "model": self.model,
            "prompt_tokens": tokens[0],
            "completion_tokens": tokens[1],
            "price": price,
            "seconds": round(seconds, 3),
            "cached": reply.cached,
        }
        with self._lock:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _write(path: Path, text: str) -> None:
    """Whole or not at all, also if two threads write the same answer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{threading.get_ident()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _wire(message: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    if isinstance(content, list):
        content = [_image(part["image"]) if part["type"] == "image" else part for part in content]
    return {**message, "content": content}


def _image(image: Any) -> dict[str, Any]:
    """An image as the API takes it: PNG in a data URL."""
    if isinstance(image, (str, Path)):
        with Image.open(image) as opened:
            image = opened.convert("RGB")
    elif isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
