"""What the rules ask of the configuration: names of files and parts, recipes, code fingerprints, data from outside.

Everything that `rules/*.smk` need to know beyond file names is here, typed and tested, so that a rule stays a statement
of inputs, outputs and one command. Never imports torch: planning must stay a matter of seconds.

Inputs are named in sorted order, whatever the order of the configuration's lists: Snakemake compares the inputs of a
job as a set and would not see that two of them changed places. What follows the order of a list reads it in its recipe
(docs/decisions.md#111).
"""

from __future__ import annotations

from collections.abc import Iterable

from scripts.config import Config
from scripts.lib.encoder_names import family_of
from scripts.lib.fingerprint import code_hash
from scripts.lib.pins import pins_digest
from scripts.lib.recipe import write_recipe
from scripts.plan.curate import CuratePlan
from scripts.plan.filter import FilterPlan, ShardPlan
from scripts.plan.finetune import FinetunePlan
from scripts.plan.outside import make_steps_runnable, present, stamp
from scripts.plan.pretrain import PretrainPlan
from scripts.plan.review import ReviewPlan, present_csvs
from scripts.report.settings import WriteReportSettings

__all__ = ["Plan", "make_steps_runnable", "present", "present_csvs", "stamp"]


class Plan(CuratePlan, FilterPlan, ReviewPlan, ShardPlan, PretrainPlan, FinetunePlan):
    """A checked configuration, seen from the rules."""

    def __init__(self, config: Config) -> None:
        for stage in (CuratePlan, FilterPlan, ReviewPlan, ShardPlan, PretrainPlan, FinetunePlan):
            stage.__init__(self, config)

    def contact_sheets_recipe(self) -> str:
        """Return the recipe of `draw_contact_sheets`."""
        return write_recipe(self.config.report.contact_sheets)

    def write_report_recipe(self) -> str:
        """Return the recipe of `write_report`: what it lists, in the order of the configuration."""
        chosen = self.config.filter
        detectors: list[dict[str, str | bool]] = [
            {"name": item.name, "kind": item.kind, "target": target, "demo_grade": item.demo_grade}
            for target, items in (("face", chosen.face_detectors), ("person", chosen.person_detectors))
            for item in items
        ]
        runs = [
            {
                "name": run.name,
                "method": run.method,
                "encoder": run.encoder,
                "epochs": str(run.epochs),
                "cost": run.cost,
                "expected": run.expected,
            }
            for run in self._runs.values()
        ]
        return write_recipe(
            WriteReportSettings(
                title=self.config.report.title,
                detectors=tuple(detectors),
                runs=tuple(runs),
                strangers=tuple(self.report_strangers()),
                twins={**{run: self.untrained_of(run) for run in self.runs}, **self.random_twins()},
                figures=self.figures,
                finetuned=tuple(self.finetuned_protocols),
                review_pages=self.review_list_address,
                rules=tuple(self.rule_texts()),
            )
        )

    def code(
        self,
        step: str,
        environment: str,
        package: str = "",
        kinds: Iterable[str] = (),
        *,
        encoder: str = "",
        backend: str = "",
    ) -> str:
        """Return what a step runs: `<fingerprint> <module>... env:<name>:<digest>`.

        The fingerprint covers the modules named after it; the digest covers what envs/<name>.yaml pins.

        Args:
            step: the step's module, e.g. `pretrain.train`.
            environment: name of the file in envs/ that the rule names, too.
            package: where it finds its `kinds`, e.g. `pretrain.methods`.
            kinds: those that the rule uses.
            encoder: name of a network, whose family counts.
            backend: name of an augmentation backend.
        """
        loaded = [f"{package}.{kind}" for kind in sorted(kinds)]
        loaded += [f"lib.architectures.{family_of(encoder)}"] if encoder else []
        loaded += [f"pretrain.backends.{backend}"] if backend else []
        modules = [step, *loaded]
        fingerprint = code_hash(*(f"scripts.{name}" for name in modules))
        return " ".join([fingerprint, *modules, f"env:{environment}:{pins_digest(environment)}"])
