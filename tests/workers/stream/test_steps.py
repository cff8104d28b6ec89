"""The list of steps reads top to bottom: each step is a file of its own with the step's name."""

from workers.stream.steps import STEPS


def test_each_step_is_a_file_with_the_steps_name() -> None:
    steps = [*STEPS.reading, *STEPS.recording, *STEPS.publishing]

    modules = [step.__module__ for step in steps]

    assert [module.rpartition(".")[2] for module in modules] == [step.__name__ for step in steps]
    assert len(set(modules)) == len(steps) == 18
