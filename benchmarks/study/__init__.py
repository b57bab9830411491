"""The study on CIFAR-100: protocols, plans, runs and what they add up to; `benchmarks/cifar100.py` is its command."""
