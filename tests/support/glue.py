"""Made-up files in the official layouts of GLUE's nine tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

WORDS = ("fine film", "dull plot", "rain fell", "stocks rose", "a cat sat", "she left", "he won")

FOLDERS = {
    "cola": "CoLA",
    "sst2": "SST-2",
    "mrpc": "MRPC",
    "stsb": "STS-B",
    "qqp": "QQP",
    "mnli": "MNLI",
    "qnli": "QNLI",
    "rte": "RTE",
    "wnli": "WNLI",
}
HEADERS = {
    "sst2": "sentence\tlabel",
    "mrpc": "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String",
    "stsb": "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\t"
    "sentence1\tsentence2\tscore",
    "qqp": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
    "qnli": "index\tquestion\tsentence\tlabel",
    "rte": "index\tsentence1\tsentence2\tlabel",
    "wnli": "index\tsentence1\tsentence2\tlabel",
}
MNLI_COLUMNS = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
    "sentence1_parse\tsentence2_parse\tsentence1\tsentence2"
)
TEST_HEADERS = {
    "cola": "index\tsentence",
    "sst2": "index\tsentence",
    "mrpc": "index\t#1 ID\t#2 ID\t#1 String\t#2 String",
    "stsb": HEADERS["stsb"].removesuffix("\tscore"),
    "qqp": "id\tquestion1\tquestion2",
    "mnli": MNLI_COLUMNS,
    "qnli": "index\tquestion\tsentence",
    "rte": "index\tsentence1\tsentence2",
    "wnli": "index\tsentence1\tsentence2",
}
LABELS: dict[str, Sequence[str]] = {
    **dict.fromkeys(("cola", "sst2", "mrpc", "qqp", "wnli"), ("0", "1")),
    "stsb": ("0.000", "5.000", "3.250", "1.8"),
    "mnli": ("entailment", "neutral", "contradiction"),
    **dict.fromkeys(("qnli", "rte"), ("entailment", "not_entailment")),
}
CLASSES: dict[str, Sequence[str] | Sequence[float]] = {
    "cola": ("unacceptable", "acceptable"),
    "sst2": ("negative", "positive"),
    "mrpc": ("not_equivalent", "equivalent"),
    "qqp": ("not_duplicate", "duplicate"),
    "wnli": ("not_entailment", "entailment"),
    "stsb": (0.0, 5.0, 3.25, 1.8),
    "mnli": LABELS["mnli"],
    **dict.fromkeys(("qnli", "rte"), LABELS["rte"]),
}
"""What the labels mean to a run, in the order of ``LABELS``."""


def texts(row: int) -> tuple[str, str]:
    """Two texts of a row, with a quotation mark that is never closed."""
    first, second = WORDS[row % len(WORDS)], WORDS[(row // 2 + 3) % len(WORDS)]
    return f'"{first} , number {row}', f"the {second}"


def line(task: str, row: int, *, columns: int = 12) -> str:
    """A row of a file with labels; ``columns`` is 16 for MNLI's development sets."""
    first, second = texts(row)
    label = LABELS[task][row % len(LABELS[task])]
    match task:
        case "cola":
            return f"gj04\t{label}\t{'*' if label == '0' else ''}\t{first}"
        case "sst2":
            return f"{first}\t{label}"
        case "mrpc":
            return f"{label}\t{700 + row}\t{800 + row}\t{first}\t{second}"
        case "stsb":
            return (
                f"{row}\tmain-news\tMSRpar\t2012\t{row:04}\tnone\tnone\t{first}\t{second}\t{label}"
            )
        case "qqp":
            return f"{row}\t{2 * row}\t{2 * row + 1}\t{first}\t{second}\t{label}"
        case "mnli":
            annotators = [label] * (columns - 11)
            parses = ["( a )"] * 4
            cells = [str(row), "31193", f"{row}n", "fiction", *parses, first, second]
            return "\t".join([*cells, *annotators, label])
        case _:
            return f"{row}\t{first}\t{second}\t{label}"


def unlabeled_line(task: str, row: int) -> str:
    """A row of a test set, whose labels are hidden."""
    first, second = texts(row)
    if task in ("cola", "sst2"):
        return f"{row}\t{first}"
    if task == "qqp":
        return f"{row}\t{first}\t{second}"
    return line(task, row).rpartition("\t")[0] if task != "mnli" else _mnli_test(row)


def _mnli_test(row: int) -> str:
    return "\t".join(line("mnli", row).split("\t")[:10])


def header(task: str, columns: int = 12) -> list[str]:
    """The header line; none for CoLA."""
    if task == "cola":
        return []
    if task != "mnli":
        return [HEADERS[task]]
    annotators = [f"label{number + 1}" for number in range(columns - 11)]
    return ["\t".join([MNLI_COLUMNS, *annotators, "gold_label"])]


def write(root: Path, task: str, train: int = 24, dev: int = 12) -> Path:
    """The folder of a task with its files; development rows continue after those of training."""
    folder = root / FOLDERS[task]
    folder.mkdir(parents=True)
    columns = 16 if task == "mnli" else 12
    save(folder / "train.tsv", [*header(task), *(line(task, row) for row in range(train))])
    ends = ("_matched", "_mismatched") if task == "mnli" else ("",)
    for number, end in enumerate(ends):
        first = train + number * dev
        rows = (line(task, row, columns=columns) for row in range(first, first + dev))
        save(folder / f"dev{end}.tsv", [*header(task, columns), *rows])
        hidden = [TEST_HEADERS[task], *(unlabeled_line(task, row) for row in range(4))]
        save(folder / f"test{end}.tsv", hidden)
    return folder


def save(path: Path, lines: Iterable[str], end: str = "\n") -> None:
    """Write lines of text."""
    path.write_bytes("".join(text + end for text in lines).encode())
