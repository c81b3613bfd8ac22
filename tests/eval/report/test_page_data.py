import json

from barcodemae.eval.report.page_data import json_in_page


def test_text_in_data_can_neither_end_the_element_nor_begin_another():
    content = {"name": "</script><!-- & \u2028 \udce9"}
    text = json_in_page(content)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == content
