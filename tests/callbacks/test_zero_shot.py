"""Zero-shot scores are those of the nearest prompt, or of the mean of a class's prompts."""

import torch
import torch.nn.functional as F

from polymodal.callbacks.zero_shot import ZeroShot


def test_pooling() -> None:
    x = F.normalize(torch.randn(5, 4), dim=-1)
    prompts = [F.normalize(torch.randn(count, 4), dim=-1) for count in (3, 1)]
    zero_shot = ZeroShot("kind", {}, pool="max")
    zero_shot.vectors = prompts
    scores = zero_shot._scores(x)
    for i in range(5):
        for k, vectors in enumerate(prompts):
            assert torch.isclose(scores[i, k], max(x[i] @ v for v in vectors))


def test_every_kind_of_the_glyphs_has_prompts() -> None:
    from polymodal.config.compose import compose_config
    from polymodal.data.glyph_kinds import KIND_NAMES

    prompts = compose_config(["++run_dir=."]).callbacks.zero_shot.prompts
    assert set(prompts) == set(KIND_NAMES)
    assert len(KIND_NAMES) >= 12
    for entry in prompts.values():
        assert all("{}" in template for template in entry.templates)
        assert len(set(entry.words)) == len(entry.words)
