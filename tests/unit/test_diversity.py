import numpy as np

from memory_mcp.recall.diversity import collapse


def rows(*similar_to_first: float) -> np.ndarray:
    return np.array([[s, np.sqrt(1 - s * s)] for s in similar_to_first], dtype=np.float32)


def test_the_same_words_are_one_line_even_without_vectors():
    assert collapse(["Tom likes tea.", "Tom likes coffee", "tom likes  tea"], None) == [[0, 2], [1]]


def test_close_texts_are_one_line_led_by_the_best():
    assert collapse(["User prefers dark mode", "It rains", "The user prefers dark mode"], rows(1.0, 0.1, 0.97)) == [[0, 2], [1]]


def test_texts_that_differ_in_numbers_names_or_negations_are_never_one():
    texts = ["port 8080 is open", "port 8081 is open", "port 8080 is not open", "Then John approved it", "Then Jane approved it"]

    assert collapse(texts, rows(1.0, 1.0, 1.0, 1.0, 1.0)) == [[0], [1], [2], [3], [4]]


def test_rows_without_a_vector_stay_apart():
    assert collapse(["one text", "other words"], np.zeros((2, 3), dtype=np.float32)) == [[0], [1]]


def test_texts_without_words_are_one_line_only_if_equal():
    assert collapse(["👍", "👎", "👍"], None) == [[0, 2], [1]]


def test_nothing_is_no_group():
    assert collapse([], None) == []
