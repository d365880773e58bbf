"""scikit-learn's estimators and metrics that take arrays of any library, on tensors."""

import numpy as np
import pytest

from in_child import judge, verdicts

pytest.importorskip("sklearn", reason="scikit-learn is not installed")


def cases():
    from sklearn import metrics, preprocessing
    from sklearn.datasets import make_classification, make_regression
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.metrics import pairwise
    from sklearn.mixture import GaussianMixture
    from sklearn.model_selection import cross_val_predict, train_test_split
    from sklearn.naive_bayes import GaussianNB
    from sklearn.pipeline import make_pipeline

    X, y = make_classification(60, 6, random_state=0)
    points, values = make_regression(60, 6, random_state=0, noise=1.0)
    guess = y * (X[:, 0] > 0)
    shares = 1 / (1 + np.exp(-X[:, 0]))

    found = {
        "LinearDiscriminantAnalysis": lambda f: (
            LinearDiscriminantAnalysis().fit(f(X), f(y)).decision_function(f(X))
        ),
        "LinearDiscriminantAnalysis.predict": lambda f: (
            LinearDiscriminantAnalysis().fit(f(X), f(y)).predict(f(X))
        ),
        "PCA": lambda f: abs(PCA(2, svd_solver="full").fit(f(X)).components_),
        "PCA.randomized": lambda f: (
            PCA(2, svd_solver="randomized", power_iteration_normalizer="QR", random_state=0)
            .fit(f(X))
            .explained_variance_
        ),
        "Ridge": lambda f: Ridge(solver="svd").fit(f(points), f(values)).coef_,
        "LogisticRegression": lambda f: LogisticRegression().fit(f(X), f(y)).coef_,
        "GaussianNB": lambda f: GaussianNB().fit(f(X), f(y)).predict_log_proba(f(X)),
        "GaussianMixture": lambda f: (
            GaussianMixture(2, init_params="random", random_state=0).fit(f(X)).means_
        ),
        "pipeline": lambda f: (
            make_pipeline(preprocessing.StandardScaler(), PCA(2)).fit(f(X)).transform(f(X)) ** 2
        ),
        "train_test_split": lambda f: train_test_split(f(X), f(y), random_state=0),
        "cross_val_predict": lambda f: cross_val_predict(LinearDiscriminantAnalysis(), f(X), f(y)),
    }
    scalers = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "Normalizer", "Binarizer")
    for name in (*scalers, "PolynomialFeatures"):
        found[name] = lambda f, name=name: getattr(preprocessing, name)().fit_transform(f(X))
    for name in ("accuracy_score", "f1_score", "jaccard_score", "confusion_matrix"):
        found[name] = lambda f, name=name: getattr(metrics, name)(f(y), f(guess))
    for name in ("mean_squared_error", "mean_absolute_error", "r2_score", "max_error"):
        found[name] = lambda f, name=name: getattr(metrics, name)(f(values), f(values + 0.5))
    for name in ("brier_score_loss", "log_loss", "precision_recall_curve"):
        found[name] = lambda f, name=name: getattr(metrics, name)(f(y), f(shares))
    for name in ("cosine_similarity", "euclidean_distances", "rbf_kernel", "chi2_kernel"):
        found[name] = lambda f, name=name: getattr(pairwise, name)(f(abs(X)), f(abs(X[:5])))
    return found


@pytest.mark.parametrize("name", cases())
def test_sklearn(name, device):
    assert verdicts(__file__, device)[name] == ""


if __name__ == "__main__":
    import sklearn

    sklearn.set_config(array_api_dispatch=True)
    judge(cases())
