"""SciPy's functions that take arrays of any library, on tensors."""

import numpy as np
import pytest

import devtensor as dt
from in_child import judge, verdicts

random = np.random.default_rng(0)
A = random.standard_normal((20, 3))
V = random.standard_normal(50) + 3
P = random.random(30)
B, D = np.array([1.0, 0.5]), np.array([1.0, -0.2])


# What SciPy computes by compiled code, for which it asks for NumPy's arrays.
COMPILED = {
    *[f"special.{name}" for name in ("erf", "gammaln", "expit", "ndtr", "entr")],
    *[f"cluster.{name}" for name in ("vq", "kmeans", "linkage", "fcluster")],
    *[f"ndimage.{name}" for name in ("gaussian_filter", "sobel", "label", "zoom")],
    *[f"stats.{name}" for name in ("ttest_1samp", "ttest_ind", "pearsonr", "chisquare")],
    *[f"stats.{name}" for name in ("bartlett", "jarque_bera", "entropy", "mannwhitneyu")],
    *[f"signal.{name}" for name in ("convolve", "detrend", "lfilter", "filtfilt", "medfilt")],
    *["ndimage.binary_erosion", "fft.dct", "interpolate.CubicSpline"],
}


def cases():
    from scipy import (
        constants,
        differentiate,
        fft,
        integrate,
        interpolate,
        ndimage,
        optimize,
        signal,
        special,
        stats,
    )
    from scipy.cluster import hierarchy, vq
    from scipy.optimize import elementwise
    from scipy.spatial import transform

    def fields(result):
        return result.statistic, result.pvalue

    return {
        "special.erf": lambda f: special.erf(f(V)),
        "special.logsumexp": lambda f: special.logsumexp(f(A), axis=1),
        "special.softmax": lambda f: special.softmax(f(A), axis=1),
        "special.gammaln": lambda f: special.gammaln(f(P)),
        "special.xlogy": lambda f: special.xlogy(f(P), f(P)),
        "special.expit": lambda f: special.expit(f(V)),
        "special.ndtr": lambda f: special.ndtr(f(V)),
        "special.entr": lambda f: special.entr(f(P)),
        "cluster.vq": lambda f: vq.vq(f(A), f(A[:3])),
        "cluster.whiten": lambda f: vq.whiten(f(A)),
        "cluster.kmeans": lambda f: vq.kmeans(f(A), f(A[:2])),
        "cluster.linkage": lambda f: hierarchy.linkage(f(A)),
        "cluster.fcluster": lambda f: hierarchy.fcluster(hierarchy.ward(f(A)), 2.0),
        "ndimage.gaussian_filter": lambda f: ndimage.gaussian_filter(f(A), 1.0),
        "ndimage.sobel": lambda f: ndimage.sobel(f(A)),
        "ndimage.label": lambda f: ndimage.label(f(A > 0)),
        "ndimage.zoom": lambda f: ndimage.zoom(f(A), 2),
        "ndimage.binary_erosion": lambda f: ndimage.binary_erosion(f(A > 0)),
        "stats.zscore": lambda f: stats.zscore(f(A)),
        "stats.skew": lambda f: stats.skew(f(V)),
        "stats.kurtosis": lambda f: stats.kurtosis(f(A)),
        "stats.ttest_1samp": lambda f: fields(stats.ttest_1samp(f(V), 0.0)),
        "stats.ttest_ind": lambda f: fields(stats.ttest_ind(f(V), f(V + 0.1))),
        "stats.pearsonr": lambda f: fields(stats.pearsonr(f(V), f(V**2))),
        "stats.chisquare": lambda f: fields(stats.chisquare(f(P / P.sum() * 30))),
        "stats.bartlett": lambda f: fields(stats.bartlett(f(V), f(V * 2))),
        "stats.jarque_bera": lambda f: fields(stats.jarque_bera(f(V))),
        "stats.gmean": lambda f: stats.gmean(f(P)),
        "stats.moment": lambda f: stats.moment(f(V), 3),
        "stats.entropy": lambda f: stats.entropy(f(P)),
        "stats.circmean": lambda f: stats.circmean(f(V)),
        "stats.rankdata": lambda f: stats.rankdata(f(V)),
        "stats.mannwhitneyu": lambda f: fields(stats.mannwhitneyu(f(V), f(V + 1))),
        "stats.quantile": lambda f: stats.quantile(f(V), f(np.array([0.1, 0.5]))),
        "signal.fftconvolve": lambda f: signal.fftconvolve(f(V), f(P)),
        "signal.oaconvolve": lambda f: signal.oaconvolve(f(V), f(P)),
        "signal.convolve": lambda f: signal.convolve(f(V), f(P)),
        "signal.detrend": lambda f: signal.detrend(f(V)),
        "signal.hilbert": lambda f: signal.hilbert(f(V)),
        "signal.resample": lambda f: signal.resample(f(V), 20),
        "signal.lfilter": lambda f: signal.lfilter(f(B), f(D), f(V)),
        "signal.filtfilt": lambda f: signal.filtfilt(f(B), f(D), f(V)),
        "signal.medfilt": lambda f: signal.medfilt(f(V), 3),
        "signal.freqz": lambda f: signal.freqz(f(B), f(D), worN=8),
        "fft.fft": lambda f: fft.fft(f(V)),
        "fft.rfftn": lambda f: fft.rfftn(f(A)),
        "fft.dct": lambda f: fft.dct(f(A)),
        "integrate.trapezoid": lambda f: integrate.trapezoid(f(V)),
        "integrate.tanhsinh": lambda f: (
            integrate.tanhsinh(lambda x: x * x, f(np.zeros(2)), f(np.ones(2))).integral
        ),
        "optimize.rosen": lambda f: optimize.rosen(f(V)),
        "optimize.find_root": lambda f: (
            elementwise.find_root(lambda x: x * x - 2, (f(np.array(0.0)), f(np.array(2.0)))).x
        ),
        "differentiate.derivative": lambda f: (
            differentiate.derivative(lambda x: x**3, f(np.array([1.0, 2.0]))).df
        ),
        "constants": lambda f: constants.convert_temperature(f(V), "C", "K"),
        "interpolate.CubicSpline": lambda f: interpolate.CubicSpline(
            f(np.arange(9.0)), f(np.arange(9.0) ** 2)
        )(f(P)),
        "spatial.Rotation": lambda f: transform.Rotation.from_rotvec(
            f(np.array([0.1, 0.2, 0.3]))
        ).as_matrix(),
    }


@pytest.mark.parametrize("name", cases())
def test_scipy(name, device):
    said = verdicts(__file__, device)[name]
    if name in COMPILED and not dt.device(device).backend.host:
        assert said.startswith(f"TypeError: can't convert {device} device type tensor to numpy")
    else:
        assert said == ""


if __name__ == "__main__":
    judge(cases())
