"""Turn a detector's checked state dict into the ONNX file that the engine `onnxruntime` reads.

Done once for a detector, so that none of its partitions loads torch (four CPU-seconds each). The file holds the network
from the pixels to the probabilities; images may be of any size. Equal weights give equal bytes.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch

from scripts.filter.retinaface_network import load_network
from scripts.filter.settings import ConvertWeightsSettings
from scripts.lib.files import replacing
from scripts.lib.flags import input_file, output_file
from scripts.lib.recipe import read_recipe
from scripts.lib.step import run_step, step_parser

LOG = logging.getLogger(__name__)

EXAMPLE = (2, 96, 160, 3)  # images, height, width, channels: all but the last are free in the file


def without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without the exporter's notes for debugging: lines of source, paths of this machine."""
    graph: Any = model.graph
    for part in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer, graph, model):
        part.doc_string = ""
        del part.metadata_props[:]
    del graph.value_info[:]  # shapes in between, which ONNX Runtime finds by itself
    return model


def convert(network: torch.nn.Module) -> bytes:
    """Return the network as an ONNX file whose images can be of any number and size.

    The exporter by tracing takes a quarter of a second and the newer one (`dynamo=True`) twelve for an equal graph. It
    is announced to go one day; the lock says which torch is here.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        written = Path(folder) / "network.onnx"
        warnings.simplefilter("ignore")  # DeprecationWarning, and where shapes become constants (they are none of ours)
        torch.onnx.export(
            network,
            (torch.zeros(EXAMPLE, dtype=torch.uint8),),
            written,
            dynamo=False,
            input_names=["pixels"],
            output_names=["offsets", "scores"],
            dynamic_axes={"pixels": {0: "images", 1: "height", 2: "width"}},
        )
        content: bytes = without_notes(onnx.load_from_string(written.read_bytes())).SerializeToString(
            deterministic=True
        )
    return content


def main(argv: Sequence[str] | None = None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--recipe", required=True, help="JSON of ConvertWeightsSettings")
    parser.add_argument("--weights", required=True, type=input_file, help="state dict that `fetch_weights` has checked")
    parser.add_argument("--out", required=True, type=output_file, help="ONNX file to write")
    arguments = parser.parse_args(argv)
    settings = read_recipe(ConvertWeightsSettings, arguments.recipe)
    torch.set_num_threads(1)
    content = convert(load_network(settings.backbone, arguments.weights))
    with replacing(arguments.out) as private:
        private.write_bytes(content)
    LOG.info("RetinaFace %s: %d bytes of ONNX written to %s", settings.backbone, len(content), arguments.out)


if __name__ == "__main__":
    run_step(main)
