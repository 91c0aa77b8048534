from memory_mcp.recall.diversity import collapse


def test_the_same_words_are_one_line_led_by_the_best():
    assert collapse(["Tom likes tea.", "Tom likes coffee", "tom likes  tea"]) == [[0, 2], [1]]


def test_small_words_and_endings_do_not_tell_texts_apart():
    assert collapse(["User prefers dark mode", "It rains", "The user prefers a dark mode."]) == [[0, 2], [1]]


def test_one_word_more_in_a_long_text_is_the_same_again():
    long = "The nightly export writes customers, orders, invoices, payments, refunds and shipments into the warehouse bucket"

    assert collapse([long, f"{long} reliably", long.replace("refunds and shipments", "stock")]) == [[0, 1], [2]]


def test_texts_that_differ_in_numbers_names_or_negations_are_never_one():
    same = "that the deployment of the payment service to the production cluster needs review by another engineer first"
    texts = [f"{who} {did} {same} on port {port}" for who, did, port in (("Jane", "said", 80), ("John", "said", 80), ("Jane", "said", 81))]
    texts.append(texts[0].replace("needs", "needs no"))

    assert collapse(texts) == [[0], [1], [2], [3]]


def test_the_order_of_words_counts():
    assert collapse(["Prefer tabs over spaces", "Prefer spaces over tabs"]) == [[0], [1]]


def test_texts_without_words_are_one_line_only_if_equal():
    assert collapse(["👍", "👎", "👍"]) == [[0, 2], [1]]


def test_nothing_is_no_group():
    assert collapse([]) == []


def test_long_texts_are_one_line_only_if_equal():
    long = "The same words over and over. " * 40_000

    assert collapse([long, long + "And more.", long]) == [[0, 2], [1]]
    assert collapse(["x" * 900_000, "x" * 900_001]) == [[0], [1]]
