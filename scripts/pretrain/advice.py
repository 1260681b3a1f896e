"""What the authors of a method advise when a run collapses, with the settings of the run at hand."""

from __future__ import annotations

from scripts.pretrain.settings import MomentumRun, RunBase, SimclrRun
from scripts.pretrain.settings_multicrop import DinoRun, SwavRun


def advice_against_collapse(run: RunBase) -> str:
    """Return one paragraph for the method of `run`."""
    if isinstance(run, SwavRun):
        return _swav(run)
    if isinstance(run, DinoRun):
        return _dino(run)
    if isinstance(run, MomentumRun):
        return _momentum(run)
    if isinstance(run, SimclrRun):
        return (
            f"Lower learning_rate (now {run.learning_rate:g}), or lengthen warmup_epochs (now {run.warmup_epochs}). "
            "Look at views.png: views that share nothing teach nothing."
        )
    return f"Lower the learning rate of the run {run.name}, and look at views.png."


def _swav(run: SwavRun) -> str:
    # OFFICIAL (SwAV README, "common issues": the training loss stays at ln of the number of prototypes)
    smaller = min(0.03, run.sinkhorn_epsilon / 2)
    return (
        f"SwAV's authors advise: a smaller sinkhorn_epsilon ({smaller:g}; now {run.sinkhorn_epsilon:g}), a longer "
        f"freeze_prototypes_steps (now {run.freeze_prototypes_steps}), a later queue (queue_from_epoch, now "
        f"{run.queue_from_epoch}), fewer or softer crops, fewer prototypes (now {run.prototypes}), a lower "
        f"learning_rate (now {run.learning_rate:g}); in the code also hard assignments, or no BatchNorm in the head."
    )


def _dino(run: DinoRun) -> str:
    # OFFICIAL (DINO main_dino.py, the help texts of these options)
    lower = "" if run.first_teacher_temperature <= 0.04 else f" (now {run.first_teacher_temperature:g}; try 0.04)"
    return (
        f"DINO's authors advise: a lower first_teacher_temperature{lower} with a warm-up (teacher_temperature above "
        f"0.07 is unstable; now {run.teacher_temperature:g}), a longer freeze_last_layer_epochs (now "
        f"{run.freeze_last_layer_epochs}), norm_last_layer true (now {str(run.norm_last_layer).lower()}), a smaller "
        f"clip_norm (now {run.clip_norm:g}), a lower learning_rate (now {run.learning_rate:g}), precision other than "
        f"fp16 (now {run.precision}). The centre must follow (centre_momentum below 1, now {run.centre_momentum:g}), "
        "or one output takes all images."
    )


def _momentum(run: MomentumRun) -> str:
    # PAPER (MoCo, table of the momentum: 0.9 is poor, 0 does not train; section 3.3 on BatchNorm)
    return (
        f"Lower learning_rate (now {run.learning_rate:g}; officially 0.03 for 256 images); raise key_momentum "
        f"towards 0.999 (now {run.key_momentum:g}). With one BatchNorm group (bn_splits, now {run.bn_splits}) keys can "
        "be told by the statistics of their batch: the loss falls, and nothing is learnt."
    )
