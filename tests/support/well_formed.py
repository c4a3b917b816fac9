"""Is it well-formed? Reads JUnit XML or a page of HTML with Python's own parsers and says what is wrong (exit code 1).

Usage: well_formed.py xml FILE    an XML document of testsuites that count their cases rightly
       well_formed.py html FILE   every element closed in its order, every picture (svg) an XML document, nothing loaded
"""
import html.parser
import re
import sys
import xml.etree.ElementTree as tree

VOID = {"meta", "br", "hr", "img", "input", "link", "col"}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=False)
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        if len(names) != len(set(names)):
            sys.exit(f"<{tag}> has an attribute twice")
        for name, value in attributes:
            if not re.fullmatch(r"[a-z][a-z0-9:_-]*", name):
                sys.exit(f"<{tag}> has an attribute {name!r}")
            if name in ("src", "href", "action") or name.startswith("on"):
                sys.exit(f"<{tag}> has {name}={value!r}")
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            sys.exit(f"</{tag}> closes nothing, at {self.getpos()}")

    def handle_data(self, data):
        if self.open[-1:] != ["style"] and ("<" in data or "&" in data):
            sys.exit(f"a loose < or & at {self.getpos()}")


def main():
    kind, file = sys.argv[1:]
    text = open(file, "rb").read().decode("utf-8")
    if kind == "xml":
        try:
            root = tree.fromstring(text)
        except tree.ParseError as error:
            sys.exit(f"is no XML: {error}")
        suites = [root] if root.tag == "testsuite" else root.findall("testsuite")
        for suite in suites:
            cases = suite.findall("testcase")
            failures = sum(case.find("failure") is not None for case in cases)
            if (int(suite.get("tests")), int(suite.get("failures"))) != (len(cases), failures):
                sys.exit("the numbers of tests and failures are wrong")
        print(f"well-formed, {sum(len(s.findall('testcase')) for s in suites)} cases")
        return
    if not text.lower().startswith("<!doctype html>"):
        sys.exit("has no doctype")
    page = Page()
    page.feed(text)
    page.close()
    if page.open or page.rawdata:
        sys.exit(f"ends inside of {page.open}")
    if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", text):
        sys.exit("holds control characters")
    pictures = re.findall(r"<svg.*?</svg>", text, re.S)
    for picture in pictures:
        tree.fromstring(picture)
    print(f"well-formed, {len(pictures)} pictures, {page.seen.count('tr')} rows")


main()
