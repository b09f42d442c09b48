"""One run on several processes, as torchrun starts them: who they are, what each holds, and their checkpoints."""
