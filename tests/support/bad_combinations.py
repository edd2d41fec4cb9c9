"""Stages that cannot work together, each with the field and words of its error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Stage = dict[str, Any]

SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
DATA = {"train": "train.tsv", "validation": "dev.tsv", "text": "sentence", "label": "label"}
TRAIN: Stage = {"kind": "train", "epochs": 1}


def prune(method: str, **options: Any) -> Stage:
    return {"kind": "prune", "method": method, **options}


def distill(method: str, **options: Any) -> Stage:
    return {"kind": "distill", "method": method, **options}


def quantize(method: str) -> Stage:
    return {"kind": "quantize", "method": method}


MAGNITUDE = prune("magnitude", sparsity=0.5)
IN_FOURS = {**MAGNITUDE, "structure": "2:4"}
SHARE = {"kind": "share", "method": "albert", "embedding_size": 16}
LOW_RANK = {"kind": "factorize", "method": "low_rank", "rank": 4}
HEADS = prune("heads", share=0.5)
LASSO = prune("group_lasso")
MORPH = prune("morphnet")
EXITS = {"kind": "train", "method": "early_exit"}


@dataclass(frozen=True)
class Bad:
    """Stages that do not fit together, and the field and words of their error."""

    name: str
    stages: list[Stage]
    at: str
    says: str
    model: dict[str, Any] | str = field(default_factory=dict)  # changes of a new model, or a name
    task: str = "classification"
    data: dict[str, Any] = field(default_factory=lambda: DATA)

    def described(self) -> dict[str, Any]:
        """The run."""
        model: Any = self.model
        if not isinstance(self.model, str):
            parts = {name: self.model[name] for name in ("architecture",) if name in self.model}
            sizes = {name: value for name, value in self.model.items() if name not in parts}
            model = {"config": SHAPE | sizes, **parts}
        recipe = {"task": self.task, "data": self.data, "model": model, "stages": self.stages}
        return {"project": "p", "experiment": "e", "name": "n", "recipe": recipe}


FINAL = ("int8_dynamic", "int8_static", "weight_only", "fp16", "bf16", "q8bert", "qat", "codebook")
CHANGING = [
    TRAIN,
    MAGNITUDE,
    prune("movement", sparsity=0.5),
    HEADS,
    LASSO,
    MORPH,
    prune("layerdrop"),
    SHARE,
    LOW_RANK,
    {"kind": "distill"},
    distill("tinybert"),
    quantize("fp16"),
]

BAD = [
    *(
        Bad(f"prune after {method}", [TRAIN, quantize(method), MAGNITUDE], "2.kind", "are final")
        for method in FINAL
    ),
    *(
        Bad(
            f"{stage['kind']} {stage.get('method')} after int8",
            [TRAIN, quantize("int8_dynamic"), stage],
            "2.kind",
            "8-bit weights are final; put it before",
        )
        for stage in CHANGING
    ),
    Bad(
        "TinyBERT with fewer heads",
        [TRAIN, distill("tinybert", student={"num_attention_heads": 2})],
        "1.student.num_attention_heads",
        "must be the teacher's, 4 (got 2)",
    ),
    Bad(
        "TinyBERT with more heads",
        [TRAIN, distill("tinybert", student={"hidden_size": 24, "num_attention_heads": 8})],
        "1.student.num_attention_heads",
        "must be the teacher's, 4 (got 8)",
    ),
    Bad(
        "MiniLM v1 with other heads",
        [TRAIN, distill("minilm", version="v1", student={"num_attention_heads": 2})],
        "1.student.num_attention_heads",
        "use version: v2",
    ),
    Bad(
        "MiniLM v2 with relation heads that do not divide the width",
        [TRAIN, distill("minilm", version="v2", relation_heads=5, student={"layers": 2})],
        "1.relation_heads",
        "5",
    ),
    Bad(
        "PKD with another width",
        [TRAIN, distill("pkd", start="teacher", student={"hidden_size": 16})],
        "1.student.hidden_size",
        "must be the teacher's, 32",
    ),
    Bad(
        "PKD with one layer",
        [TRAIN, distill("pkd", start="teacher", student={"layers": 1})],
        "1.student.layers",
        "two or more",
    ),
    Bad(
        "PKD from a pretrained model that is random",
        [TRAIN, distill("pkd")],
        "1.start",
        "random weights",
    ),
    Bad(
        "Theseus with layers that do not divide",
        [TRAIN, distill("theseus", successor_layers=3)],
        "1.successor_layers",
        "must divide the predecessor's 4 layers (got 3)",
    ),
    Bad(
        "Theseus on an odd number of layers",
        [TRAIN, distill("theseus")],
        "1.successor_layers",
        "have no half",
        model={"num_hidden_layers": 3},
    ),
    Bad(
        "a student with more layers than its teacher has by then",
        [TRAIN, prune("layerdrop", keep=2), {"kind": "distill", "student": {"layers": 3}}],
        "2.student.layers",
        "the teacher has 2 layers, not 3",
    ),
    *(
        Bad(f"rank {rank}", [TRAIN, {**LOW_RANK, "rank": rank}], "1.rank", "use at most 15")
        for rank in (16, 400)
    ),
    Bad(
        "rank above the limit of the feed-forward matrices",
        [TRAIN, {**LOW_RANK, "rank": 22, "matrices": "feed_forward"}],
        "1.rank",
        "use at most 21",
    ),
    Bad(
        "two sizes of the factors",
        [TRAIN, {**LOW_RANK, "ratio": 0.5}],
        "1.ratio",
        "not several",
    ),
    Bad(
        "a budget below rank 1",
        [TRAIN, {"kind": "factorize", "method": "low_rank", "budget": 0.01}],
        "1.budget",
        "rank 1 of every matrix has",
    ),
    Bad(
        "an embedding wider than the model",
        [TRAIN, {**SHARE, "embedding_size": 32}],
        "1.embedding_size",
        "up to a width of 31",
    ),
    Bad(
        "more groups than layers",
        [TRAIN, {**SHARE, "groups": 5}],
        "1.groups",
        "the model has 4 layers",
    ),
    *(
        Bad(
            f"rewinding to {share}",
            [prune("lottery_ticket", sparsity=0.5, rewind_to=share)],
            "0.rewind_to",
            "no weights beyond the training",
        )
        for share in (1.0, 1.5, -0.1)
    ),
    Bad(
        "a control without rewinding",
        [prune("lottery_ticket", sparsity=0.5, rewind_to="standard", control="random_weights")],
        "0.control",
        "use rewind_to: 0",
    ),
    *(
        Bad(
            f"2:4 by {method} with {columns} columns",
            [TRAIN, prune(method, sparsity=0.5, structure="2:4")],
            "1.structure",
            f"multiple of 4 columns; the model's {size} is {columns}",
            model={size: columns, "num_attention_heads": 2},
        )
        for method in ("magnitude", "random", "snip")
        for size, columns in (("intermediate_size", 65), ("hidden_size", 30))
    ),
    Bad(
        "2:4 of a student with odd columns",
        [TRAIN, {"kind": "distill", "student": {"intermediate_size": 63}}, IN_FOURS],
        "2.structure",
        "the model's intermediate_size is 63",
    ),
    *(
        Bad(
            f"2:4 after {before['method']}",
            [TRAIN, before, IN_FOURS],
            "2.structure",
            "2:4 needs a multiple of 4 columns, but",
        )
        for before in (LOW_RANK, {**LOW_RANK, "rank": 8}, LASSO, MORPH)
    ),
    Bad(
        "2:4 of heads of odd width",
        [TRAIN, HEADS, IN_FOURS],
        "2.structure",
        "cut heads and neurons out afterwards",
        model={"hidden_size": 24, "num_attention_heads": 4},
    ),
    Bad(
        "2:4 after neurons of question answering",
        [TRAIN, prune("qa", criterion="random", neurons=0.5), IN_FOURS],
        "2.structure",
        "cut heads and neurons out afterwards",
        task="question_answering",
        data={"train": "train.json", "validation": "dev.json"},
    ),
    Bad("2:4 at 70%", [TRAIN, {**IN_FOURS, "sparsity": 0.7}], "1.sparsity", "must be 0.5"),
    Bad(
        "2:4 in rounds",
        [TRAIN, {**IN_FOURS, "mode": "iterative", "rounds": 2}],
        "1.mode",
        "one_shot",
    ),
    Bad(
        "a drop without rounds",
        [TRAIN, {**MAGNITUDE, "max_drop": 0.1}],
        "1.max_drop",
        "mode: iterative",
    ),
    Bad(
        "a size without rounds",
        [TRAIN, {**MAGNITUDE, "target_bytes": 100}],
        "1.target_bytes",
        "mode: iterative",
    ),
    Bad("all heads", [TRAIN, prune("heads", share=0.9)], "1.share", "use at most 0.7500"),
    Bad("no head", [TRAIN, prune("heads", share=0.01)], "1.share", "less than one"),
    Bad(
        "LayerDrop on one layer",
        [prune("layerdrop")],
        "0.kind",
        "has one layer",
        model={"num_hidden_layers": 1},
    ),
    Bad(
        "layers of random weights",
        [prune("layerdrop", epochs=0)],
        "0.epochs",
        "may not be 0: the run's model has random weights",
    ),
    Bad("a layer that is not there", [prune("layerdrop", keep=[0, 9])], "0.keep", "0 to 3, not 9"),
    Bad("a tiny budget", [prune("morphnet", budget=0.05)], "0.budget", "one head and one neuron"),
    *(
        Bad(
            f"{stage['method']} after {before['method']}",
            [TRAIN, before, stage],
            "2.kind",
            says,
        )
        for before in (SHARE, LOW_RANK)
        for stage, says in (
            (HEADS, "no heads and neurons of their own"),
            (LASSO, "no heads and neurons of their own"),
            (MORPH, "no heads and neurons of their own"),
            (prune("layerdrop"), "remove layers before"),
            (SHARE, "share the layers of a plain model"),
            (distill("tinybert"), "no student can be made from it"),
            (distill("theseus"), "no student can be made from it"),
            (distill("pkd", start="teacher"), "no student can be made from it"),
            (prune("sparsebert", sparsity=0.5, start="teacher"), "no student can be made from it"),
            (prune("spd"), "no student can be made from it"),
        )
    ),
    *(
        Bad(f"{stage['method']} after {before['method']}", [TRAIN, before, stage], "2.kind", says)
        for before in (HEADS, LASSO, MORPH)
        for stage, says in (
            (SHARE, "the model of this stage is sliced"),
            (prune("layerdrop"), "the model of this stage is sliced"),
            (distill("minilm"), "the model of this stage is sliced"),
        )
    ),
    Bad(
        "factors of factors",
        [TRAIN, LOW_RANK, TRAIN, LOW_RANK],
        "3.kind",
        "factorize the model that it was made from",
    ),
    Bad(
        "exits on two layers",
        [EXITS],
        "0.layers",
        "the model has 2 layers: exits need three or more",
        model={"num_hidden_layers": 2},
    ),
    Bad(
        "exits on the two layers that are left",
        [prune("layerdrop", keep=2), EXITS],
        "1.layers",
        "the model has 2 layers: exits need three or more",
    ),
    Bad(
        "an exit after a layer that is not there",
        [{**EXITS, "layers": [0, 7]}],
        "0.layers",
        "the model has layers 0 to 3, not 7",
    ),
    Bad(
        "thresholds of a model without exits",
        [TRAIN, {"kind": "measure", "thresholds": [0.9]}],
        "1.thresholds",
        "has no early exits",
    ),
    Bad(
        "thresholds of a student without exits",
        [TRAIN, {"kind": "distill"}, {"kind": "measure", "thresholds": [0.9]}],
        "2.thresholds",
        "has no early exits",
        model="bert",
    ),
    Bad("exits twice", [EXITS, EXITS], "1.method", "the model already has exits"),
    Bad("a student of exits", [EXITS, distill("tinybert")], "1.student.layers", "early exits"),
    Bad(
        "exits for language modeling",
        [EXITS],
        "0.kind",
        "does not work on masked_lm",
        model="bert",
        task="masked_lm",
        data={"train": "train.txt", "validation": "dev.txt"},
    ),
    Bad("pruning of random weights", [MAGNITUDE], "0.kind", "needs a trained model"),
    Bad("heads of random weights", [HEADS], "0.kind", "needs a trained model"),
    Bad(
        "masked LM on classification",
        [distill("mobilebert")],
        "0.kind",
        "does not work on classification",
        model="bert",
    ),
    Bad(
        "TinyBERT on question answering",
        [distill("tinybert")],
        "0.kind",
        "does not work on question_answering",
        model="bert",
        task="question_answering",
        data={"train": "train.json", "validation": "dev.json"},
    ),
    *(
        Bad(
            f"QA pruning on {task}",
            [prune("qa", criterion="random", heads=0.5)],
            "0.kind",
            f"'prune-qa' does not work on {task}; it works on question_answering",
            model="bert",
            task=task,
        )
        for task in ("classification", "regression")
    ),
    *(
        Bad(
            f"{method} of a GPT-2",
            [TRAIN, prune(method, **options)],
            "1.kind",
            "the heads of a gpt2 model cannot be removed",
            model={"model_type": "gpt2"},
            task="causal_lm",
            data={"train": "train.txt", "validation": "dev.txt"},
        )
        for method, options in (("heads", {"share": 0.5}), ("group_lasso", {}), ("morphnet", {}))
    ),
    Bad(
        "SparseBERT from a teacher without heads",
        [TRAIN, HEADS, prune("sparsebert", sparsity=0.5, start="pretrained")],
        "2.kind",
        "the teacher is sliced",
        model="bert",
    ),
    Bad(
        "PKD from a teacher with exits",
        [EXITS, distill("pkd", start="pretrained", student={"layers": 2})],
        "1.kind",
        "the teacher is exits",
        model="bert",
    ),
    Bad(
        "all neurons of a question-answering model",
        [TRAIN, prune("qa", criterion="random", neurons=0.999)],
        "1.neurons",
        "one of the neurons must remain in each layer",
        task="question_answering",
        data={"train": "train.json", "validation": "dev.json"},
    ),
    *(
        Bad(
            f"{stage['method']} after {before.get('method')}",
            [TRAIN, before, stage],
            "2.kind",
            says,
            task="masked_lm",
            data={"train": "train.txt", "validation": "dev.txt"},
        )
        for before in (HEADS, LASSO, LOW_RANK)
        for stage, says in (
            (distill("distilbert"), "no student can be made from it"),
            ({"kind": "share", "method": "tied_embeddings"}, "tie the embeddings of a plain model"),
            ({"kind": "pretrain", "method": "electra"}, "cannot be published without a head"),
            (distill("mobilebert"), "its layers do not show"),
        )
        if (before, stage["method"]) != (LOW_RANK, "mobilebert")  # factors show all states
    ),
    *(
        Bad(
            f"{stage['method']} of a {name}",
            [TRAIN, stage],
            "1.kind",
            name,
            model={"architecture": {"name": name}},
            task="masked_lm",
            data={"train": "train.txt", "validation": "dev.txt"},
        )
        for name in ("deq", "reformer")
        for stage in (
            distill("distilbert"),
            distill("mobilebert"),
            {"kind": "share", "method": "tied_embeddings"},
        )
    ),
    *(
        Bad(
            f"embeddings {state} twice",
            [{"kind": "share", "method": "tied_embeddings", "embeddings": state}] * 2,
            "1.embeddings",
            f"are {state} already",
            task="masked_lm",
            data={"train": "train.txt", "validation": "dev.txt"},
        )
        for state in ("tied", "untied")
    ),
    Bad(
        "layers of a fixed point",
        [{"kind": "pretrain", "method": "masked_lm"}, prune("layerdrop", keep=2)],
        "1.kind",
        "the model of this stage is deq",
        model={"architecture": {"name": "deq"}},
        task="masked_lm",
        data={"train": "train.txt", "validation": "dev.txt"},
    ),
    Bad(
        "bits by the Hessian of a fixed point",
        [TRAIN, quantize("qbert") | {"bits": "auto", "bit_budget": 3}],
        "1.bits",
        "has no second derivatives; state the bits",
        model={"architecture": {"name": "deq"}},
    ),
    *(
        Bad(
            f"{method} with a trained student of a fixed point",
            [TRAIN, distill(method, student={"model": "own"}, **start)],
            "1.kind",
            "the teacher is deq: its layers do not show",
            model={"architecture": {"name": "deq"}},
        )
        for method, start in (("pkd", {"start": "teacher"}), ("tinybert", {}), ("minilm", {}))
    ),
    Bad(
        "exits of a fixed point",
        [EXITS],
        "0.method",
        "the layers of a deq model are one function",
        model={"architecture": {"name": "deq"}},
    ),
    Bad(
        "a limit without a split",
        [TRAIN, {**MAGNITUDE, "mode": "iterative", "rounds": 2, "max_drop": 0.1}],
        "data.validation",
        "is missing",
        data={k: v for k, v in DATA.items() if k != "validation"},
    ),
    Bad(
        "beams on classification",
        [TRAIN, distill("sequence", beams=4)],
        "1.beams",
        "belongs to causal_lm",
    ),
]

GOOD = [
    [TRAIN, HEADS, LASSO, MORPH, MAGNITUDE, quantize("int8_dynamic")],
    [TRAIN, HEADS, LOW_RANK, TRAIN],
    [TRAIN, LASSO, {**LOW_RANK, "rank": 15}, {"kind": "measure"}],
    [EXITS, HEADS, MAGNITUDE, quantize("int8_dynamic")],
    [TRAIN, SHARE, LOW_RANK, quantize("bf16")],
    [TRAIN, MAGNITUDE, distill("tinybert"), HEADS],
    [TRAIN, HEADS, IN_FOURS],
    [TRAIN, {**LASSO, "groups": "heads"}, IN_FOURS],
    [TRAIN, MAGNITUDE, prune("layerdrop", keep=2), MAGNITUDE],
    [TRAIN, IN_FOURS, prune("layerdrop", epochs=0), SHARE],
    [TRAIN, quantize("qbert") | {"bits": "auto", "bit_budget": 3}],
    [prune("layerdrop", keep=2), SHARE, prune("movement", sparsity=0.5)],
    [prune("lottery_ticket", sparsity=0.5, rewind_to=0.99)],
    [TRAIN, {**MAGNITUDE, "mode": "iterative", "rounds": 9, "max_drop": 0.01, "target_bytes": 9}],
]
