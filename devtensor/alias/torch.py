"""What ``import torch`` finds in the processes that a program started, spawned workers for example.

The folder of this file is on their search path because it is on that of the program.
"""

from devtensor.alias import install

install()
