"""First steps: a network with batch normalization learns to read digits. In two seconds.

    python examples/first_steps.py

It is a PyTorch program, but for the imports.
"""

from tinygrad_bn import manual_seed, nn, no_grad
from tinygrad_bn.data import MNIST, DataLoader
from tinygrad_bn.nn.functional import cross_entropy
from tinygrad_bn.optim import SGD

manual_seed(0)  # the same numbers in every run
train_batches = DataLoader(MNIST(train=True), batch_size=64, shuffle=True)
test_batches = DataLoader(MNIST(train=False), batch_size=1000)

model = nn.Sequential(
    nn.Flatten(),  # (N, 1, 28, 28) -> (N, 784)
    nn.Linear(784, 100, bias=False),  # batch normalization brings a bias of its own
    nn.BatchNorm1d(100),
    nn.ReLU(),
    nn.Linear(100, 10),  # a score for each digit
)
optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)

model.train()  # batch normalization: by the statistics of each batch
for step, (images, labels) in enumerate(train_batches, start=1):
    loss = cross_entropy(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 100 == 0:
        print(f"step {step} of {len(train_batches)}: loss {loss.item():.3f}")

model.eval()  # batch normalization: by the averages over the training
correct = 0
with no_grad():
    for images, labels in test_batches:
        correct += (model(images).argmax(1) == labels).sum().item()
print(f"test accuracy {correct / len(test_batches.dataset):.2%}")
