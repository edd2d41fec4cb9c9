"""SparseBERT: a pretrained model is pruned while it learns from its fine-tuned self.

Source: Xu, Yen, Zhao, Xiao 2021, Rethinking Network Pruning under the Pre-train and Fine-tune
Paradigm, arXiv:2104.08682.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from workers.training.forward_pass import ForwardPass
from workers.training.imitation import Imitation
from workers.training.model.recording import Needs
from workers.training.score_differences import scores_difference
from workers.training.teacher import TeacherOutputs


def scores_loss(student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor]) -> torch.Tensor:
    """Mean squared difference of attention scores before the softmax, summed over the layers.

    Padded rows and columns are in the means; a padded column counts as 0.

    Args:
        student: Scores ``[batch, heads, seq, seq]`` of the layers.
        teacher: Scores of the teacher, of the same shapes.

    Source: Xu et al. 2021, section 3.2 (L_att).
    """
    return scores_difference(student, teacher)


class Scores(Imitation):
    """Attention scores of the layers before the softmax."""

    name = "attention"
    needs = Needs(attention_scores=True)

    def states(self, outputs: ForwardPass | TeacherOutputs) -> Sequence[torch.Tensor]:
        """See ``Imitation.states``."""
        return [layer.scores.float() for layer in outputs.attention if layer.scores is not None]

    def loss(
        self, student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """See ``Imitation.loss``."""
        return scores_loss(student, teacher)
