"""What is written of a run's settings (``torch.utils.tensorboard.summary``)."""

from __future__ import annotations

from typing import Any

from google.protobuf.struct_pb2 import ListValue, Value
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)

from devtensor.tensor import Tensor
from devtensor.utils.tensorboard._values import plugin

__all__ = ["hparams"]

KINDS = (
    ((bool, int, float), "number_value", "DATA_TYPE_FLOAT64"),
    (str, "string_value", "DATA_TYPE_STRING"),
)


def hparams(
    hparam_dict: dict[str, Any], metric_dict: dict[str, Any], hparam_domain_discrete: Any = None
) -> tuple[Any, Any, Any]:
    """Three summaries: of the settings and what is measured, of this run's settings, of its end.

    Parameters
    ----------
    hparam_dict : dict
        Settings by name: numbers, texts, bools, tensors of one element; None is left out.
    metric_dict : dict
        What is measured, by name.
    hparam_domain_discrete : dict, optional
        The values that a setting can have, by name.

    Raises
    ------
    TypeError
        If something is no dict, or the values have another type than the setting.
    ValueError
        If a setting is no number, text or bool.

    Examples
    --------
    >>> from devtensor.utils.tensorboard.summary import hparams
    >>> hparams({"lr": 0.1}, {"accuracy": 0.9})[1].value[0].tag
    '_hparams_/session_start_info'
    """
    for given, called in ((hparam_dict, "hparam_dict"), (metric_dict, "metric_dict")):
        if not isinstance(given, dict):
            raise TypeError(f"parameter: {called} should be a dictionary, nothing logged.")
    domains = hparam_domain_discrete or {}
    for name, choices in domains.items():
        same = type(hparam_dict.get(name))
        if not isinstance(choices, list) or not all(isinstance(c, same) for c in choices):
            raise TypeError(
                f"parameter: hparam_domain_discrete[{name}] should be a list of same type as "
                f"hparam_dict[{name}]."
            )
    start, infos = SessionStartInfo(), []
    for name, value in hparam_dict.items():
        if isinstance(value, Tensor):
            value = value.item()
        if value is None:
            continue
        field, kind = next(
            ((field, kind) for types, field, kind in KINDS if isinstance(value, types)), ("", "")
        )
        if not field:
            raise ValueError(
                "value should be one of int, float, str, bool, or torch.Tensor: "
                f"hparam_dict[{name!r}] is {type(value).__name__}"
            )
        setattr(start.hparams[name], field, value)
        info = api_pb2.HParamInfo(name=name, type=api_pb2.DataType.Value(kind))
        if name in domains:
            listed = ListValue(values=[Value(**{field: choice}) for choice in domains[name]])
            info.domain_discrete.CopyFrom(listed)
        infos.append(info)
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in metric_dict]
    experiment = api_pb2.Experiment(hparam_infos=infos, metric_infos=metrics)
    end = SessionEndInfo(status=api_pb2.Status.Value("STATUS_SUCCESS"))
    first, second, third = (
        Summary(
            value=[
                Summary.Value(
                    tag=f"_hparams_/{tag}", metadata=plugin("hparams", data.SerializeToString())
                )
            ]
        )
        for tag, data in (
            ("experiment", HParamsPluginData(experiment=experiment)),
            ("session_start_info", HParamsPluginData(session_start_info=start)),
            ("session_end_info", HParamsPluginData(session_end_info=end)),
        )
    )
    return first, second, third
