"""What `rules/evaluate_encoders.smk` asks of the configuration: encoders from elsewhere, and random ones."""

from __future__ import annotations

from scripts.config import Config
from scripts.evaluate.settings_encoders import ImportEncoderSettings, RandomEncoder, WeightsBase
from scripts.lib.encoder_names import plain_name
from scripts.lib.recipe import write_recipe
from scripts.plan.outside import present

RANDOM = "-random"  # cannot be part of an entry's name
RANDOM_SEED = 0


class StrangerPlan:
    """The entries of `evaluate.encoders`, and a random encoder for each architecture among them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._strangers = {entry.name: entry for entry in config.evaluate.encoders}

    @property
    def strangers(self) -> list[str]:
        """Names of the entries, then of the random encoders that no entry gives."""
        random = {self.random_of(name): None for name in self._strangers}
        return [*self._strangers, *(name for name in random if name.endswith(RANDOM))]

    def random_of(self, name: str) -> str:
        """Return the random encoder beside an entry: one of the config with its architecture, else one of ours."""
        wanted = plain_name(self._strangers[name].architecture_name)
        given = (each for each in self._strangers.values() if isinstance(each, RandomEncoder))
        found = next((each.name for each in given if plain_name(each.architecture_name) == wanted), None)
        return found or wanted + RANDOM

    def like_of(self, encoder: str) -> str:
        """Return the entry whose architecture a random encoder of ours has: the first; "" for an entry."""
        if encoder in self._strangers:
            return ""
        return next(name for name in self._strangers if self.random_of(name) == encoder)

    def stranger_architecture(self, encoder: str) -> str:
        """Return the name of the network of an entry, or of a random encoder."""
        return self._strangers[self.like_of(encoder) or encoder].architecture_name

    def stranger_path(self, encoder: str) -> str:
        """Return the file that `import_encoder` makes."""
        return f"results/evaluate/import_encoder/{encoder}.safetensors"

    def stranger_like(self, encoder: str) -> str:
        """Return the file of the encoder that a random one is like; "" for an entry."""
        like = self.like_of(encoder)
        return self.stranger_path(like) if like else ""

    def import_encoder_recipe(self, encoder: str) -> str:
        """Return the recipe of `import_encoder` and `fetch_encoder`."""
        entry = self._strangers.get(encoder)
        seed = entry.seed if isinstance(entry, RandomEncoder) else RANDOM_SEED
        return write_recipe(ImportEncoderSettings(encoder=entry, seed=seed))

    def stranger_weights(self, encoder: str) -> str:
        """Return the file with an entry's weights, as the publisher made it; "" for a random encoder."""
        entry = self._strangers.get(encoder)
        if not isinstance(entry, WeightsBase):
            return ""
        return entry.path or f"results/evaluate/fetch_encoder/{encoder}.weights"

    def stranger_inputs(self, encoder: str) -> list[str]:
        """Return what `import_encoder` reads, as far as it is made here or lies there."""
        entry = self._strangers.get(encoder)
        if entry is None:
            return [self.stranger_like(encoder)]
        fetched = isinstance(entry, WeightsBase) and entry.download
        return [self.stranger_weights(encoder)] if fetched else present(self.stranger_weights(encoder))

    def report_strangers(self) -> list[dict[str, str]]:
        """Return what the report says of each; `checkpoint` is one that the authors of PASS publish."""
        return [
            {
                "name": name,
                "encoder": self.stranger_architecture(name),
                "source": self._strangers[name].source_text if name in self._strangers else "random initialisation",
                "checkpoint": getattr(self._strangers.get(name), "checkpoint", ""),
            }
            for name in self.strangers
        ]

    def random_twins(self) -> dict[str, str]:
        """Return entry → the random encoder beside it, for those that have weights."""
        return {name: self.random_of(name) for name, entry in self._strangers.items() if isinstance(entry, WeightsBase)}
