import json

import pytest

import support


@pytest.fixture
def model(tmp_path):
    """A private copy of a golden model: three shards, hash routing, all kinds of attention."""
    return support.copy_model("tiny-2-flash-like", tmp_path / "model")


@pytest.fixture
def logits(tmp_path):
    """Runs `nibble logits` on a few tokens; the caller says what is unusual."""

    def call(model, *args, tokens=(5, 17, 99, 4, 8), device="cpu", text=None, env=None):
        file = tmp_path / "tokens.json"
        file.write_text(json.dumps(list(tokens)) if text is None else text)
        return support.run("logits", "-m", model, "-d", device, "--tokens", file, "--out", tmp_path / "out.npy",
                           *args, env=env)

    return call
