"""Any network of timm without its classifier, for weights from elsewhere. Names are `timm/<model>[.<tag>]`.

The state dict has timm's own names, so that the file of an encoder loads there as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

PREFIX = "timm/"


def build(name: str) -> nn.Module:
    """Return a fresh network, images [n, 3, h, w] → features [n, d]; nothing is downloaded.

    Raises:
        ValueError: timm has no such model.
    """
    import timm

    model = name.removeprefix(PREFIX)
    try:
        network: nn.Module = timm.create_model(model, pretrained=False, num_classes=0)
    except RuntimeError as error:
        raise ValueError(f"timm {timm.__version__} has no model {model} ({error})") from None
    return network


class _FeatureDims(Mapping[str, int]):
    """Width of the features by name, looked up when asked for: timm has a thousand models."""

    def __getitem__(self, name: str) -> int:
        network = build(name)
        return int(getattr(network, "head_hidden_size", None) or network.num_features)  # type: ignore[arg-type]

    def __contains__(self, name: object) -> bool:
        import timm

        return isinstance(name, str) and name.startswith(PREFIX) and timm.is_model(name.removeprefix(PREFIX))

    def __iter__(self) -> Iterator[str]:
        import timm

        return (PREFIX + name for name in timm.list_models())

    def __len__(self) -> int:
        return sum(1 for _ in self)


FEATURE_DIMS = _FeatureDims()
