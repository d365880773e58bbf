"""devtensor with the default device that an environment variable names, for run_cases.py."""

import os

import devices
import devtensor
import devtensor.nn
import devtensor.optim
import devtensor.utils.checkpoint

devices.use_stand_in()
devtensor.set_default_device(os.environ["DEVTENSOR_CASES_DEVICE"])


def __getattr__(name):
    return getattr(devtensor, name)
