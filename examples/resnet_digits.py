"""A residual network of basic blocks, as torchvision's ResNet-18 has them, made sparse, on scikit-learn's digits.

Run it with ``python examples/resnet_digits.py``; it needs the extra ``digits``. A convolution sums over channels and
positions of its kernel, and so does the plan: m_d is the ratio of channels, since the kernel does not grow.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from smupar_transfer import plan


class Block(nn.Module):
    """Two convolutions around which the input goes, by a convolution of 1 x 1 where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        around = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.downsample = nn.Identity() if inputs == outputs and stride == 1 else around

    def forward(self, inputs: Tensor) -> Tensor:
        """What comes around, and what the convolutions add to it."""
        added = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(inputs)))))
        return torch.relu(added + self.downsample(inputs))


def make(width: int) -> nn.Sequential:
    """Two stages, of so many channels and of twice as many."""
    stem = [nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, 10)]
    return nn.Sequential(*stem, Block(width, width, 1), Block(width, 2 * width, 2), *head)


def digits(start: int, end: int) -> tuple[Tensor, Tensor]:
    """Some of the 1797 images of 8 x 8, and what they show."""
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images[start:end] / 8 - 1).float().view(-1, 1, 8, 8), torch.tensor(labels[start:end])


def main() -> None:
    """Train for forty steps, and test."""
    torch.manual_seed(0)
    model = make(32)
    planned = plan(model, make(8), density={"*.conv?.weight": 0.125})  # those of 1 x 1 have too few inputs
    planned.apply_(model)
    print(planned)
    optimizer = torch.optim.AdamW(planned.groups(model, learning_rate=0.01, weight_decay=0.1))
    for step in range(40):
        images, labels = digits(start := step % 20 * 64, start + 64)
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    images, labels = digits(1280, 1797)
    right = (model.eval()(images).argmax(1) == labels).float().mean()
    print(f"loss {loss.item():.2f} in training; {right:.1%} of digits that it has not seen are right")


if __name__ == "__main__":
    main()
