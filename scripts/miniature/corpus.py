"""Public-domain text from two Debian packages: training text and the evaluation corpora, which share no text.

The King James Bible comes from `bible-kjv` (its `bible` program prints the text), The Devil's Dictionary from
`dict-devil`. Whole books and whole dictionary entries go to one side; a training verse equal to an evaluation
verse is dropped. The corpora have the shape of the files that published scores were measured on.
"""
import gzip
import json
import random
import re
import subprocess
from collections import Counter

import paths

WIKI_BOOKS = ["Ruth", "Joel", "Jonah", "Nahum", "Habakkuk", "Malachi"]
PTB_VALID_BOOKS = ["Galatians", "Ephesians", "Philippians", "Colossians", "1 Thessalonians"]
PTB_TEST_BOOKS = ["James", "1 Peter", "1 John", "1 Timothy", "2 Timothy", "Titus", "Philemon"]
C4_BOOKS = ["Job"]
HELD_OUT = WIKI_BOOKS + PTB_VALID_BOOKS + PTB_TEST_BOOKS + C4_BOOKS
KNOWN_WORDS = 2600  # the rest is <unk> in the PTB-like text: near 6% of its words, as in PTB
NUMBERS = set("two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
              "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred "
              "thousand".split())
LEFT_OUT = re.compile(r"\bn[ie]gg?[er]", re.I)  # a few entries of 1911 use words we will not repeat


def read_bible():
    """-> [(book, chapter number, [verse, ...]), ...] in order."""
    text = subprocess.run(["bible", "-l0", "Ge1:1-Re22:21"], check=True, capture_output=True, text=True).stdout
    chapters = []
    for line in text.split("\n"):
        heading = re.fullmatch(r"((?:\d )?[A-Z][A-Za-z ]+) (\d+)", line)
        verse = re.fullmatch(r" +\d+ (.*)", line)
        if heading:
            chapters.append((heading[1], int(heading[2]), []))
        elif verse:
            chapters[-1][2].append(verse[1].strip())
    assert len(chapters) == 1189 and sum(len(c[2]) for c in chapters) == 31102
    return chapters


def read_devil():
    """-> [(headword, definition as printed), ...] in order."""
    text = gzip.open("/usr/share/dictd/devil.dict.dz").read().decode("ascii")
    text = text[text.index("ABASEMENT, n."):text.rindex("\n abcdefghij")]
    entries = []
    for entry in re.split(r"\n\n(?=[A-Z][A-Z'\- ]+[,.])", text):
        if not LEFT_OUT.search(entry):
            entries.append((re.match(r"[A-Z'\- ]+", entry)[0].strip(), entry.strip()))
    return entries


def spaced(text):
    """Punctuation as WikiText has it: set apart by spaces, hyphens as @-@."""
    text = re.sub(r"--+", " -- ", text.replace("_", ""))
    text = re.sub(r"(?<=\w)-(?=\w)", " @-@ ", text)
    text = re.sub(r"([,.;:?!()\[\]\"])", r" \1 ", text)
    text = re.sub(r"(?<=\w)'s\b", " 's", text)
    return re.sub(r" +", " ", text).strip()


def paragraphs(entry):
    """A dictionary entry's paragraphs, line breaks gone."""
    return [" ".join(p.split()) for p in re.split(r"\n\s*\n", entry)]


def wiki_article(title, sections):
    """sections: [(heading or None, [paragraph, ...]), ...]"""
    lines = [" \n", f" = {title} = \n", " \n"]
    for heading, texts in sections:
        if heading:
            lines += [" \n", f" = = {heading} = = \n", " \n"]
        lines += [f" {spaced(t)} \n" for t in texts]
    return "".join(lines)


def wiki_chapter(book, number, verses):
    groups = [" ".join(verses[i:i + 6]) for i in range(0, len(verses), 6)]
    return wiki_article(f"{book} {number}", [(None, groups)])


def plain_chapter(verses):
    return "\n".join(" ".join(verses[i:i + 8]) for i in range(0, len(verses), 8))


def ptb_words(verse):
    for sentence in re.split(r"[.?!;]", verse):
        words = re.sub(r"[^a-z' ]", " ", sentence.lower().replace("'s", " 's").replace("-", " ")).split()
        if words:
            yield words


def ptb_lines(chapters, known):
    lines = []
    for _, _, verses in chapters:
        for verse in verses:
            for words in ptb_words(verse):
                words = ["N" if w in NUMBERS else w if w in known else "<unk>" for w in words]
                lines.append(" " + " ".join(words) + " \n")
    return "".join(lines)


def write_eval(bible, devil, known):
    of = lambda books: [c for c in bible if c[0] in books]
    wiki = ""
    for book in WIKI_BOOKS:
        sections = []
        for _, number, verses in of([book]):
            sections.append((f"Chapter {number}", [" ".join(verses[i:i + 6]) for i in range(0, len(verses), 6)]))
        wiki += wiki_article(f"The Book of {book}", sections)
    for word, entry in devil[0::8]:
        wiki += wiki_article(word.title(), [(None, paragraphs(entry))])
    documents = [entry for _, entry in devil[1::8] + devil[2::16] if len(entry) > 220]
    for _, number, verses in of(C4_BOOKS):
        documents += [" ".join(verses[i:i + 18]) for i in range(0, len(verses) - 6, 18)]
    random.Random(4).shuffle(documents)
    paths.CORPORA.mkdir(parents=True, exist_ok=True)
    (paths.CORPORA / "wiki.test.raw").write_text(wiki + " \n", newline="")
    (paths.CORPORA / "ptb.valid.txt").write_text(ptb_lines(of(PTB_VALID_BOOKS), known), newline="")
    (paths.CORPORA / "ptb.test.txt").write_text(ptb_lines(of(PTB_TEST_BOOKS), known), newline="")
    jsonl = "".join(json.dumps({"text": d}, ensure_ascii=False) + "\n" for d in documents)
    (paths.CORPORA / "c4-validation.jsonl").write_text(jsonl, newline="")


def training_documents(bible, devil, known):
    """Training text in the shapes of the corpora: plain, WikiText-like and PTB-like."""
    held = {v for book, _, verses in bible if book in HELD_OUT for v in verses}
    documents = []
    for i, (book, number, verses) in enumerate(c for c in bible if c[0] not in HELD_OUT):
        verses = [v for v in verses if v not in held]
        kind = i % 10
        if kind < 4:
            documents.append(plain_chapter(verses))
        elif kind < 7:
            documents.append(wiki_chapter(book, number, verses))
        else:
            documents.append(ptb_lines([(book, number, verses)], known).replace("\n", "\n\n"))
    for i, (word, entry) in enumerate(devil):
        if i % 8 > 2 or i % 16 == 10:
            documents.append(entry)
            documents.append(wiki_article(word.title(), [(None, paragraphs(entry))]))
    random.Random(5).shuffle(documents)
    return documents


def lora_entries(devil):
    return [(word, entry) for i, (word, entry) in enumerate(devil) if i % 8 > 2]


def run():
    bible, devil = read_bible(), read_devil()
    counts = Counter(w for b, _, verses in bible if b not in HELD_OUT for v in verses for s in ptb_words(v) for w in s)
    known = {w for w, _ in counts.most_common(KNOWN_WORDS)}
    write_eval(bible, devil, known)
    paths.WORK.mkdir(parents=True, exist_ok=True)
    (paths.WORK / "training.json").write_text(json.dumps(training_documents(bible, devil, known)))
    (paths.WORK / "lora.json").write_text(json.dumps(lora_entries(devil)))


if __name__ == "__main__":
    run()
