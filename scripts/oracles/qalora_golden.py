"""What PEFT's forward pass of QALoRA adds, for tests/converter/lora_foreign_test.cpp.

Usage: qalora_golden.py OUTPUT.json        (requirements-peft.txt)

PEFT does not merge QALoRA adapters (QALoraLinearVariant.merge_unsafe of 0.18 raises NotImplementedError), but its forward
pass says what a merged matrix must add: applied to the unit vectors in float64, it gives that matrix. A and B follow from a
formula that the test repeats; the rows of B, and so those of the matrix, repeat after five.
"""
import json
import sys

import peft
import torch
from peft.tuners.lora.variants import QALoraLinearVariant

DIM, GROUP, RANK, ALPHA = 256, 8, 2, 3
GROUPS = DIM // GROUP


class Module:
    """What the variant looks at of a linear layer."""
    training = False
    in_features = DIM

    def __init__(self):
        a = torch.tensor([i % 7 / 8 for i in range(RANK * GROUPS)], dtype=torch.float64).reshape(RANK, GROUPS)
        b = torch.tensor([i % 5 / 4 - 0.5 for i in range(5 * RANK)], dtype=torch.float64).reshape(5, RANK)
        down, up = torch.nn.Linear(GROUPS, RANK, bias=False), torch.nn.Linear(RANK, 5, bias=False)
        down.weight, up.weight = torch.nn.Parameter(a), torch.nn.Parameter(b)
        self.lora_A, self.lora_B, self.lora_dropout = {"x": down}, {"x": up}, {"x": torch.nn.Identity()}
        self.scaling, self.qalora_group_size = {"x": ALPHA / RANK}, {"x": GROUP}


zeros = torch.zeros(DIM, 5, dtype=torch.float64)
matrix = QALoraLinearVariant.forward(Module(), "x", torch.eye(DIM, dtype=torch.float64), zeros).T
with open(sys.argv[1], "w") as out:
    json.dump({"peft": peft.__version__, "torch": torch.__version__, "dim": DIM, "group": GROUP, "rank": RANK, "alpha": ALPHA,
               "rows": matrix.tolist()}, out, separators=(",", ":"))
    out.write("\n")
