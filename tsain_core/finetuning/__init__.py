"""Fine-tuning a model on one stack: the run, its verdict, its model card, and jobs of their own."""
