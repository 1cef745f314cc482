"""Makes the small tokenizers of this folder and the texts they are tried on.

    python3 make_tokenizers.py            # needs python3-sentencepiece
    node make_goldens.js                  # needs @anush008/tokenizers

The first trains SentencePiece models on the bundled public-domain calibration
text, writes their goldens with SentencePiece itself, and builds tokenizer.json
files of the other families from their vocabularies. The second writes the
goldens of those with Hugging Face's own library.
"""
import base64
import json
import os
import random

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as pb

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = os.path.join(HERE, "../../../deploy/demo/demo-llama-1m/calibration.txt")
TRAINING_CHARACTERS = 200_000

# Code points -> code points: ligature, full-width letters, a letter with its
# accent (by itself and decomposed), control and zero width characters, blanks.
RULES = [("FB01", "66 69"), ("FF21", "41"), ("FF42", "62"), ("41 30A", "C5"),
         ("41", "41"), ("65 301", "E9"), ("200B", ""), ("9", "20"), ("A", "20"),
         ("A0", "20"), ("3000", "20"), ("2026", "2E 2E 2E"), ("BD", "31 2F 32"),
         ("1F642 200D", "3A 29"), ("E000", "20 20")]

HARD = [
    "", " ", "  ", "a", "\n", "\n\n a", "Hello world", "  two  blanks  ",
    "It's 1,234.5% of naïve cafés — “quoted” … ‘x’", "ﬁne Ａｂc Å e\u0301 ½",
    "zero\u200bwidth \u00a0 nbsp\u3000wide", "tab\tand\r\nline ends\n",
    "日本語 中文 한국어 العربية ไทย हिन्दी", "🙂👩‍👩‍👧‍👦🏳️‍🌈 🙂‍x", "<s>a</s> <sep>b<sep> [MASK] <unk>",
    "▁a▁▁b", "x" * 120, "the theory of then", "I'll don't we'VE", "_snake__case_",
    "MiXeD CaSe İ ß Σς", "\u0001\u007f\u0085\u0000.", "\ue000x\ue000",
    "e\u0301e\u0301 A\u030a", "1234567 ٣ Ⅷ ², ①", "....!?!?--", "q" * 300,
    "user@example.org/a?b=c#d", "        deep", "end ", "America and the world",
]

TRAINED = {
    "spm-unigram": dict(model_type="unigram", vocab_size=600),
    "spm-unigram-bytes": dict(
        model_type="unigram", vocab_size=800, byte_fallback=True,
        user_defined_symbols=["<sep>", "▁x▁"], control_symbols=["<mask>"],
        remove_extra_whitespaces=False),
    "spm-bpe": dict(model_type="bpe", vocab_size=600,
                    user_defined_symbols=["<sep>", "the"]),
    "spm-bpe-bytes": dict(model_type="bpe", vocab_size=800, byte_fallback=True,
                          remove_extra_whitespaces=False, split_digits=True,
                          allow_whitespace_only_pieces=True),
    "spm-bpe-suffix": dict(model_type="bpe", vocab_size=400,
                           treat_whitespace_as_suffix=True),
    "spm-bpe-unused": dict(model_type="bpe", vocab_size=600),
    "spm-word": dict(model_type="word", vocab_size=300),
    "spm-char": dict(model_type="char", vocab_size=60, hard_vocab_limit=False,
                     user_defined_symbols=["ing"]),
}


def path(name, file):
    folder = os.path.join(HERE, name)
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, file)


def texts():
    with open(TEXT) as file:
        text = file.read()[-20_000:]
    rows = HARD + [line for line in text.split("\n") if line][-12:]
    rng = random.Random(1)
    for _ in range(60):
        rows.append("".join(rng.choice(HARD)[:12] for _ in range(4)))
    return rows


def train():
    rules = os.path.join(HERE, "rules.tsv")
    corpus = os.path.join(HERE, "corpus.txt")
    with open(rules, "w") as file:
        for source, target in RULES:
            file.write(f"{source}\t{target}\n")
    with open(TEXT) as source, open(corpus, "w") as file:
        text = source.read()[:TRAINING_CHARACTERS]
        file.write(text.replace(". ", ".\n"))
    for name, options in TRAINED.items():
        prefix = path(name, "tokenizer")
        spm.SentencePieceTrainer.train(
            input=corpus, model_prefix=prefix, normalization_rule_tsv=rules,
            minloglevel=2, num_threads=1, **options)
        os.remove(prefix + ".vocab")
        # Paths of the training machine are of no use to anybody.
        model = load(name)
        del model.trainer_spec.input[:]
        model.trainer_spec.model_prefix = ""
        model.normalizer_spec.normalization_rule_tsv = ""
        if name == "spm-bpe-unused":
            for i, piece in enumerate(model.pieces):
                if piece.type == 1 and len(piece.piece) > 1 and i % 3 == 0:
                    piece.type = 5
        with open(prefix + ".model", "wb") as file:
            file.write(model.SerializeToString())
    os.remove(rules)
    os.remove(corpus)


def load(name):
    model = pb.ModelProto()
    with open(path(name, "tokenizer.model"), "rb") as file:
        model.ParseFromString(file.read())
    return model


def sentence_piece_goldens():
    for name in TRAINED:
        processor = spm.SentencePieceProcessor(
            model_file=path(name, "tokenizer.model"))
        with open(path(name, "golden.jsonl"), "w") as file:
            for text in texts():
                ids = processor.encode(text)
                file.write(json.dumps(
                    {"text": text, "ids": ids,
                     "decoded": processor.decode(ids)}) + "\n")


def token(content, id, **flags):
    return {"id": id, "content": content, "single_word": False,
            "lstrip": False, "rstrip": False, "normalized": False,
            "special": True, **flags}


def special(name):
    return [token(p.piece, i) for i, p in enumerate(load(name).pieces)
            if p.type in (2, 3)]


def unigram(name, **more):
    pieces = load(name).pieces
    return {"type": "Unigram", "unk_id": 0,
            "vocab": [[p.piece, p.score] for p in pieces], **more}


def pairs(name, **more):
    pieces = load(name).pieces
    ids = {p.piece: i for i, p in enumerate(pieces)}
    merges = []
    for p in sorted((p for p in pieces if p.type == 1), key=lambda p: -p.score):
        cuts = [(p.piece[:i], p.piece[i:]) for i in range(1, len(p.piece))]
        merges += [list(cut) for cut in cuts if cut[0] in ids and cut[1] in ids]
    return {"type": "BPE", "dropout": None, "unk_token": "<unk>",
            "continuing_subword_prefix": None, "end_of_word_suffix": None,
            "fuse_unk": True, "byte_fallback": False, "ignore_merges": False,
            "vocab": ids, "merges": merges, **more}


def word_pieces(names):
    """A WordPiece vocabulary of a BPE one: "▁the" begins words, "ing" not."""
    ids = {t: i for i, t in enumerate(names)}
    for p in load("spm-bpe-bytes").pieces:
        if p.type != 1:
            continue
        text = p.piece.lower()
        text = text[1:] if text.startswith("▁") else "##" + text
        if text not in ("", "##") and text not in ids:
            ids[text] = len(ids)
    for c in "abcdefghijklmnopqrstuvwxyz0123456789.,!?-_'中本é":
        for t in (c, "##" + c):
            ids.setdefault(t, len(ids))
    return ids


def file(model, added, normalizer=None, pre_tokenizer=None,
         post_processor=None, decoder=None):
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": added, "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer, "post_processor": post_processor,
            "decoder": decoder, "model": model}


def sequence(key, *members):
    return {"type": "Sequence", key: list(members)}


def byte_characters():
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in own]
    return {**{b: chr(b) for b in own},
            **{b: chr(256 + i) for i, b in enumerate(rest)}}


def byte_level(suffix=""):
    characters = byte_characters()
    ids = {}
    for end in ("", suffix) if suffix else ("",):
        for b in range(256):
            ids[characters[b] + end] = len(ids)
    merges = []
    for left, right in [("t", "h"), ("th", "e"), ("i", "n"), ("in", "g"),
                        ("a", "n"), ("an", "d"), ("Ġ", "the"), ("Ġ", "a"),
                        ("Ġa", "nd"), ("Ã", "©"), ("o", "f"), ("x", "x"),
                        ("xx", "xx"), ("xxxx", "xxxx"), ("q", "q")]:
        for end in ("", suffix) if suffix else ("",):
            if left in ids and right + end in ids:
                ids.setdefault(left + right + end, len(ids))
                merges.append(f"{left} {right}{end}")
    return ids, merges


def json_files():
    unknown = special("spm-unigram")
    charsmap = base64.b64encode(
        load("spm-unigram").normalizer_spec.precompiled_charsmap).decode()
    precompiled = {"type": "Precompiled", "precompiled_charsmap": charsmap}
    always = {"type": "Metaspace", "replacement": "▁",
              "prepend_scheme": "always", "split": True}
    first = {"type": "Metaspace", "replacement": "▁",
             "prepend_scheme": "first", "split": False}
    space = {"String": " "}
    llama = sequence(
        "decoders", {"type": "Replace", "pattern": {"String": "▁"},
                     "content": " "}, {"type": "ByteFallback"},
        {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1,
                           "stop": 0})
    ends = {t.get("content"): t["id"] for t in unknown}
    whitespace = {"type": "WhitespaceSplit"}
    bert_names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    bert = word_pieces(bert_names)
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                   {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                 {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {n: {"id": n, "ids": [bert[n]], "tokens": [n]}
                           for n in ("[CLS]", "[SEP]")}}
    pieces = {"type": "WordPiece", "unk_token": "[UNK]",
              "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 100, "vocab": bert}
    names = [token(n, bert[n]) for n in bert_names]
    # A token of the model ("the") keeps its id; those of the others must have
    # no gap, or that library renumbers them.
    more = names + [
        token(t, bert.get(t, len(bert) + i), special=False, **flags)
        for i, (t, flags) in enumerate(
            [("<sep>", {"lstrip": True}), ("<s>", {"rstrip": True}),
             ("É", {"normalized": True}), ("中文", {"normalized": True}),
             ("the", {"single_word": True})])]
    split = {"type": "ByteLevel", "add_prefix_space": False,
             "trim_offsets": True, "use_regex": True}
    ids, merges = byte_level()
    clip_ids, clip_merges = byte_level("</w>")
    for t in ("<s>", "</s>"):
        ids[t] = len(ids)
        clip_ids[t] = len(clip_ids)

    def bytes_model(**more_members):
        return {"type": "BPE", "dropout": None, "unk_token": None,
                "continuing_subword_prefix": "", "end_of_word_suffix": "",
                "fuse_unk": False, "vocab": ids, "merges": merges,
                **more_members}

    byte_names = [token(t, ids[t]) for t in ("<s>", "</s>")]
    bert_normalizer = {"type": "BertNormalizer", "clean_text": True,
                       "handle_chinese_chars": True, "strip_accents": None,
                       "lowercase": True}
    files = {
        "unigram-t5": file(
            unigram("spm-unigram"), unknown,
            sequence("normalizers", precompiled,
                     {"type": "Strip", "strip_left": False,
                      "strip_right": True},
                     {"type": "Replace", "pattern": {"Regex": " {2,}"},
                      "content": "▁"}),
            always, None, always),
        "unigram-xlmr": file(
            unigram("spm-unigram"), unknown, precompiled,
            sequence("pretokenizers", whitespace, always),
            {"type": "RobertaProcessing", "sep": ["</s>", ends["</s>"]],
             "cls": ["<s>", ends["<s>"]], "trim_offsets": True,
             "add_prefix_space": True}, always),
        "unigram-albert": file(
            unigram("spm-unigram"), unknown,
            sequence("normalizers", {"type": "Nmt"}, {"type": "NFKD"},
                     {"type": "StripAccents"}, {"type": "Lowercase"},
                     precompiled),
            always, None, always),
        "unigram-bytes": file(
            unigram("spm-unigram-bytes", byte_fallback=True),
            special("spm-unigram-bytes"), {"type": "Nmt"}, first, None, llama),
        "bpe-llama": file(
            pairs("spm-bpe-bytes", byte_fallback=True),
            special("spm-bpe-bytes"),
            sequence("normalizers", {"type": "Prepend", "prepend": "▁"},
                     {"type": "Replace", "pattern": space, "content": "▁"}),
            None, None, llama),
        "bpe-metaspace": file(
            pairs("spm-bpe", fuse_unk=False, ignore_merges=True),
            special("spm-bpe"), {"type": "Strip", "strip_left": True,
                                 "strip_right": True}, always, None, always),
        "wordpiece-bert": file(
            pieces, names, bert_normalizer, {"type": "BertPreTokenizer"},
            template, {"type": "WordPiece", "prefix": "##", "cleanup": True}),
        "wordpiece-added": file(
            pieces, more, bert_normalizer,
            sequence("pretokenizers", {"type": "Whitespace"},
                     {"type": "Digits", "individual_digits": True}),
            {"type": "BertProcessing", "sep": ["[SEP]", bert["[SEP]"]],
             "cls": ["[CLS]", bert["[CLS]"]]},
            {"type": "WordPiece", "prefix": "##", "cleanup": False}),
        "wordlevel": file(
            {"type": "WordLevel", "vocab": bert, "unk_token": "[UNK]"}, names,
            {"type": "NFD"},
            sequence("pretokenizers", whitespace,
                     {"type": "Punctuation", "behavior": "Contiguous"},
                     {"type": "Split", "pattern": {"Regex": "[aeiou]"},
                      "behavior": "MergedWithNext", "invert": True})),
        "bytes-gpt2": file(bytes_model(ignore_merges=True), byte_names, None,
                           split, None, split),
        "bytes-roberta": file(
            bytes_model(), byte_names, None, {**split, "add_prefix_space": True},
            {"type": "RobertaProcessing", "sep": ["</s>", ids["</s>"]],
             "cls": ["<s>", ids["<s>"]], "trim_offsets": True,
             "add_prefix_space": True}, split),
        "bytes-falcon": file(
            bytes_model(), byte_names, None,
            sequence("pretokenizers",
                     {"type": "Punctuation", "behavior": "Contiguous"}, split,
                     {"type": "Digits", "individual_digits": False},
                     {"type": "Split", "pattern": {"Regex": "[0-9][0-9][0-9]"},
                      "behavior": "Isolated", "invert": False}), None, split),
        "bytes-normalized": file(
            bytes_model(), byte_names, {"type": "ByteLevel"},
            {"type": "Split", "pattern": {"Regex": "Ġ?[A-Za-z]+|."},
             "behavior": "Isolated", "invert": False}, None, split),
        "bytes-clip": file(
            bytes_model(end_of_word_suffix="</w>", unk_token="</s>",
                        vocab=clip_ids, merges=clip_merges),
            [token(t, clip_ids[t]) for t in ("<s>", "</s>")],
            sequence("normalizers", {"type": "NFC"},
                     {"type": "Replace", "pattern": {"Regex": "\\s+"},
                      "content": " "}, {"type": "Lowercase"}),
            sequence("pretokenizers",
                     {"type": "Split", "pattern": {
                         "Regex": "'s|'t|\\p{L}+|\\p{N}|[^\\s\\p{L}\\p{N}]+"},
                      "behavior": "Removed", "invert": True}, split),
            None, split),
    }
    for name, content in files.items():
        with open(path(name, "tokenizer.json"), "w") as out:
            json.dump(content, out, ensure_ascii=False, indent=0)
    with open(os.path.join(HERE, "texts.json"), "w") as out:
        json.dump(texts(), out)


train()
sentence_piece_goldens()
json_files()
