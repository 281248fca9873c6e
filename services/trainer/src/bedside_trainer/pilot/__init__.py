"""A share of the training's steps, that says what all of them would bring (`trainer.pilot`)."""
