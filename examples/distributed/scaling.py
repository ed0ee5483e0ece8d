"""How data parallel training scales: measured on this machine, and predicted for larger ones.

    python examples/distributed/scaling.py            # some 5 minutes on two quiet cores
    python examples/distributed/scaling.py --quick    # a first look

It starts ranks by mpiexec, PyTorch beside them if it is installed, measures all of them in turn,
fits the model of model.py to exchanges between two ranks, checks it against steps of two ranks, and
predicts. Written are a page, scaling.md, and a picture beside it. README.md says what is what.
"""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

# For the model of mnist_cnn.py, and for what the benchmarks have to measure and report with
sys.path.append(str(Path(__file__).resolve().parents[1]))
sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

from analysis import analyse
from measure import HERE, TWO, measure
from page import write
from report import Report
from worker import available_cores

ROUNDS, TURN = 15, 0.3  # how often each setting has its turn, and for how many seconds at least
QUICK_ROUNDS, QUICK_TURN = 3, 0.1


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--out", type=Path, default=HERE, help="a folder for page and picture")
    args = parser.parse_args()
    if find_spec("mpi4py") is None:
        parser.error("mpi4py is missing: pip install 'tinygrad_bn[mpi]'")
    if len(available_cores()) < TWO:
        parser.error(f"{TWO} ranks need {TWO} cores, and this program may use one")
    return args


def main() -> None:
    args = options()
    rounds, turn = (QUICK_ROUNDS, QUICK_TURN) if args.quick else (ROUNDS, TURN)
    found = analyse(measure(rounds, turn))
    command = " ".join(["python examples/distributed/scaling.py", *sys.argv[1:]])
    write(found, command, rounds, Report(args.out / "scaling.md"))
    if find_spec("matplotlib") is None:
        print("No picture without matplotlib: pip install 'tinygrad_bn[plot]'")
    else:
        import picture  # here: matplotlib takes a second

        picture.draw(found, args.out / "scaling.png")
    print(f"written to {args.out}")


if __name__ == "__main__":
    main()
