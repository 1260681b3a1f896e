"""The steps of the workflow, one package for each chapter."""

import os

# Before any step loads torch: OpenMP threads that wait must sleep. By default they spin, and with one busy neighbour on
# the cores a training step took 12 times as long (measured, 2 threads on 2 shared cores). Results do not depend on it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
