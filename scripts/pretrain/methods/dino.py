"""DINO: Emerging Properties in Self-Supervised Vision Transformers (Caron et al. 2021).

    g_s, g_t = encoder + head; g_t starts as g_s and follows it as a moving average
    t = softmax((g_t(the two large crops) - centre) / T_t), without gradient
    loss = cross-entropy of t with softmax(g_s(every other crop) / T_s)
    centre = moving average of g_t's outputs

Numerics of the official code (`main_dino.py`, `vision_transformer.py`, `utils.py`); values in config.yaml.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from scripts.lib.architectures.vit import VisionTransformer, initialise_linear
from scripts.lib.draws import derived_seed
from scripts.lib.encoders import build_encoder, feature_dim
from scripts.lib.recipe import Settings
from scripts.pretrain import ranks
from scripts.pretrain.contract import Method, Position
from scripts.pretrain.metrics import entropy_and_information, feature_std
from scripts.pretrain.moving_average import follow
from scripts.pretrain.multi_crop import MultiCrop, cross_entropy_of_others, forward_by_size
from scripts.pretrain.schedules import half_cosine, ramp, warm_up_then_cosine
from scripts.pretrain.settings_multicrop import DinoRun

TEACHER_CROPS = 2  # OFFICIAL: the first two crops


class Recipe(Settings):
    """Recipe of `train` for this method."""

    run: DinoRun


def targets_of(teacher: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """Return what the student is to predict: the teacher's outputs [t, n, k], centred and sharpened; `centre` [k]."""
    return functional.softmax((teacher - centre) / temperature, dim=2)


def distillation_loss(student: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return DINO's loss (algorithm 1): mean over pairs of a teacher's and another crop of the student.

    Args:
        student: [v, n, k], outputs for v crops.
        targets: [t, n, k], those of the first t of them; rows of sum 1.
        temperature: divides `student`.
    """
    return cross_entropy_of_others(targets, functional.log_softmax(student / temperature, dim=2))


def clip_each(parameters: list[nn.Parameter], limit: float) -> None:
    """Shorten the gradient of each tensor by itself to length `limit`, where it is longer."""
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.mul_((limit / (parameter.grad.norm() + 1e-6)).clamp(max=1.0))  # OFFICIAL 1e-6


class NormedLayer(nn.Module):
    """A linear map without bias whose rows have a direction and a length of their own (weight normalisation)."""

    def __init__(self, width: int, outputs: int, learn_lengths: bool) -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(outputs, 1), requires_grad=learn_lengths)
        self.weight_v = nn.Parameter(nn.Linear(width, outputs, bias=False).weight.detach())  # k w

    def forward(self, rows: Tensor) -> Tensor:
        """[n, w] → [n, k]."""
        return functional.linear(rows, self.weight_g * functional.normalize(self.weight_v, dim=1))


class Head(nn.Module):
    """Three layers, length 1, then the layer whose outputs are compared."""

    def __init__(self, run: DinoRun) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(feature_dim(run.encoder), run.hidden_dim),
            nn.GELU(),
            nn.Linear(run.hidden_dim, run.hidden_dim),
            nn.GELU(),
            nn.Linear(run.hidden_dim, run.bottleneck_dim),
        )
        self.mlp.apply(initialise_linear)
        self.last_layer = NormedLayer(run.bottleneck_dim, run.output_dim, learn_lengths=not run.norm_last_layer)

    def forward(self, features: Tensor) -> Tensor:
        """[n, d] → [n, k]."""
        outputs: Tensor = self.last_layer(functional.normalize(self.mlp(features), dim=1))
        return outputs


class Dino(Method):
    """Student, teacher and centre."""

    metric_names = ("teacher_entropy", "teacher_information", "feature_std")
    centre: Tensor

    def __init__(self, run: DinoRun) -> None:
        super().__init__()
        self.run = run
        self.make_views = MultiCrop(run.augmentation, run.augmentation_backend)
        encoder = build_encoder(run.encoder, run.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(run.seed, "dino head"))
            head = Head(run)
        self.student = nn.Sequential(encoder, head)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        if isinstance(encoder, VisionTransformer):
            encoder.set_drop_path(run.drop_path)  # the student's only
        self.register_buffer("centre", torch.zeros(run.output_dim))  # k
        self.new_means: list[Tensor] = []  # [k], teacher's outputs of each micro-batch of this step

    def encoder(self) -> nn.Module:
        """Return the teacher's encoder, as officially; decisions.md#38."""
        encoder: nn.Module = self.teacher[0]
        return encoder

    def projection_head(self) -> nn.Sequential:
        """Return the teacher's three layers, up to the bottleneck."""
        return cast(Head, self.teacher[1]).mlp

    def networks(self) -> list[nn.Module]:
        """Return both encoders."""
        return [self.student[0], self.teacher[0]]

    def training_step(self, batch: list[Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return loss and metrics of one step; `batch` holds the crops, uint8 [n, 3, s, s] each."""
        with torch.no_grad():
            features = forward_by_size(self.teacher[0], batch[:TEACHER_CROPS])  # t·n d
            teacher = self.teacher[1](features).float().view(TEACHER_CROPS, len(batch[0]), -1)  # t n k
        student = self.student[1](forward_by_size(self.student[0], batch)).float()  # v·n k
        student = student.view(len(batch), len(batch[0]), -1)
        targets = targets_of(teacher, self.centre, self.teacher_temperature(self.position))  # t n k
        loss = distillation_loss(student, targets, self.run.student_temperature)
        self.new_means.append(teacher.mean(dim=(0, 1)))
        # Entropy: ln k when all outputs are equally likely, 0 when one has all images: the two ways to collapse.
        # Information: 0 when all images have the same output, which is either.
        entropy, told = entropy_and_information(targets)
        # Of the first crop: 1 when the features fill the sphere, 0 when all images have the same.
        spread = feature_std(functional.normalize(features[: len(batch[0])].float(), dim=1))
        return {"loss": loss, "teacher_entropy": entropy, "teacher_information": told, "feature_std": spread}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip gradients; leave the last layer as it is at first: no gradient, hence no weight decay either."""
        clip_each(list(self.student.parameters()), self.run.clip_norm)
        for name, parameter in self.student.named_parameters():
            if "last_layer" in name and self.position.epoch < self.run.freeze_last_layer_epochs:
                parameter.grad = None

    def end_step(self) -> None:
        """Let the centre and the teacher follow."""
        self.update_centre()
        self.update_teacher()

    @torch.no_grad()
    def update_centre(self) -> None:
        """Move the centre towards the mean of the teacher's outputs in this step, after it was used."""
        mean = ranks.averaged(torch.stack(self.new_means).mean(dim=0))  # k
        self.centre.lerp_(mean, 1 - self.run.centre_momentum)
        self.new_means = []

    def update_teacher(self) -> None:
        """g_t = m g_t + (1 - m) g_s, m to 1 by half a cosine; on parameters only, BatchNorm's are each network's."""
        m = half_cosine(self.position.step, self.position.total_steps, self.run.teacher_momentum, 1.0)
        follow(self.teacher, self.student, m)

    def teacher_temperature(self, position: Position) -> float:
        """Return the teacher's temperature, which rises over the first epochs, constant within an epoch."""
        run, warm_up = self.run, self.run.teacher_temperature_warm_up_epochs
        if position.epoch >= warm_up:
            return run.teacher_temperature
        return ramp(position.epoch, warm_up, run.first_teacher_temperature, run.teacher_temperature)

    def learning_rate(self, position: Position) -> float:
        """Return a linear warm-up, then half a cosine, step by step."""
        rates = self.run.first_learning_rate, self.run.learning_rate, self.run.final_learning_rate
        return warm_up_then_cosine(position, self.run.warm_up_epochs, *rates)

    def begin_step(self, position: Position, optimizer: torch.optim.Optimizer) -> None:
        """Set the learning rate, and weight decay on what decays, which follows half a cosine."""
        super().begin_step(position, optimizer)
        decay = half_cosine(position.step, position.total_steps, self.run.weight_decay, self.run.final_weight_decay)
        optimizer.param_groups[0]["weight_decay"] = decay

    def configure_optimizers(self) -> Any:
        """Return AdamW; biases and other one-dimensional parameters do not decay."""
        trained = [each for each in self.student.parameters() if each.requires_grad]
        groups = [
            {"params": [each for each in trained if each.ndim > 1], "weight_decay": self.run.weight_decay},
            {"params": [each for each in trained if each.ndim <= 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.run.learning_rate, betas=self.run.adam_betas)


def build_method(run: DinoRun) -> Dino:
    """Return DINO before its first step; a function of `run` alone."""
    return Dino(run)
