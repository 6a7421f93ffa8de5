"""What will be watched next: features, models and the runtime that serves them."""
