"""Layers, losses and what is needed to build models of them."""

from devtensor.nn import (
    activation,
    adaptive,
    attention,
    batchnorm,
    common_types,
    container,
    conv,
    dropout,
    functional,
    grad,
    init,
    linear,
    linear_loss,
    loss,
    margin_loss,
    modules,
    normalization,
    padding,
    parallel,
    parameter,
    parameter_container,
    pooling,
    rnn,
    rnn_cell,
    shaping,
    sparse,
    transformer,
    transformer_layer,
    utils,
)
from devtensor.nn.activation import *
from devtensor.nn.adaptive import *
from devtensor.nn.attention import *
from devtensor.nn.batchnorm import *
from devtensor.nn.container import *
from devtensor.nn.conv import *
from devtensor.nn.dropout import *
from devtensor.nn.linear import *
from devtensor.nn.linear_loss import *
from devtensor.nn.loss import *
from devtensor.nn.margin_loss import *
from devtensor.nn.module import Module as Module
from devtensor.nn.normalization import *
from devtensor.nn.padding import *
from devtensor.nn.parallel import *
from devtensor.nn.parameter import Buffer as Buffer
from devtensor.nn.parameter import Parameter as Parameter
from devtensor.nn.parameter import UninitializedBuffer as UninitializedBuffer
from devtensor.nn.parameter import UninitializedParameter as UninitializedParameter
from devtensor.nn.parameter_container import *
from devtensor.nn.pooling import *
from devtensor.nn.rnn import *
from devtensor.nn.rnn_cell import GRUCell as GRUCell
from devtensor.nn.rnn_cell import LSTMCell as LSTMCell
from devtensor.nn.rnn_cell import RNNCell as RNNCell
from devtensor.nn.rnn_cell import RNNCellBase as RNNCellBase
from devtensor.nn.shaping import *
from devtensor.nn.sparse import *
from devtensor.nn.transformer import *
from devtensor.nn.transformer_layer import *

modules.fill()
