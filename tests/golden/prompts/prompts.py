"""Prompts for the prompt language, the same ones at every run."""

import random

WEIGHTS = [
    "", " ", "\n", "a", "a cat", "a (red) house", "a ((red)) house", "a (((red))) house",
    "a [red] house", "a [[red]] house", "a [[[red]]] house", "a (red:1.4) house",
    "a (red:0.5) house", "a (red:0) house", "a (red:-1) house", "a (red:+1.25) house",
    "a (red: 1.4 ) house", "a (red\n:\n1.4\t) house", "a (red:.5) house", "a (red:2.) house",
    "a (red:1) house", "a (red:1.0) house", "a (red:00001.10) house", "a (red:1e1) house",
    "a (red:1,4) house", "a (red:high) house", "a (red:) house", "a (red::1.4) house",
    "a (:1.4) house", "a () house", "a [] house", "()", "[]", "(())", "([])", "(()())",
    "(a:1.2)(b:1.2)", "(a)(b)", "(a) (b)", "[a][b]", "(a:1.1)(b)", "(a:1.21)((b))", "((a:1.2))",
    "((a:1.2):1.3)", "(a (b:1.2) c:1.3)", "(a [b] c)", "[a (b) c]", "(((a) b) c) d",
    "a (b (c (d (e))))", "[(a:1.3)]", "([a]:1.3)", "(a:1.3:1.4)",
    "the (((tower:1.3)) [by] the (shore:0.5), fog, (((gulls))).", "(open", "shut)",
    "[open", "shut]", "((a) b", "(a)) b", "[[a] b", "[a]] b", "(a [b) c]", "[a (b] c)",
    "(a [b (c] d) e", "a) b] c( d[ e", ")(", "][", "((((", "))))", "[[[[", "]]]]", "(a:1.3",
    "a:1.3)", "a :1.3) b", "(a [b:1.3) c]", "(a:1.3]", "[a:1.3)", "a (b:1.3)) c", "\\(as typed\\)",
    "\\[as typed\\]", "a \\\\ b", "\\\\(a\\\\)", "(a \\(b\\) c:1.3)", "(a\\:1.3)", "\\a\\b\\c",
    "smile :\\)", "\\(a:1.3\\)", "(\\(:1.3)", "(\\):1.3)", "[\\]]", "\\", "a \\", "(a\\", "\\\n",
    "\\\\", "\\\\\\", "mixed \\( and ( and \\) and )", "a_(b)_c", "saber \\(fate\\), (sword:1.1)",
    "f(x) = (x:2)", ":)", "(:", ":(", "a:b", "a : b", "(a:b)", "(a:b:1.3)", "(a: b c:1.3)", "16:9",
    "(16:9)", "(at 12:30:1.2)", "::", "(a::)", "(one:１.３)", "(one:١.٥)", "（full width：1.3）",
    "(日本:1.3)", "(é:1.2) ñ [ü]", "(😀:1.3) 😀", "[👨‍👩‍👧‍👦]", "(\u00a0a\u00a0:\u00a01.3\u00a0)",
    "(a:\u2003 1.3)", "(a:\x1c1.3)", "e\u0301 (e\u0301:1.1)", "\ufeff(a)", "(a:0.000001)",
    "(a:1000000)", "(a:123456789012345678901234567890)",
    "(((((((((((((((((((((a)))))))))))))))))))))", "[[[[[[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]]]]]",
    "(a:1.1) b (c:1.1)", "((a)b)", "(a(b))", "(a)b(c)", "(a:1.2) (b:1.3) (c:1.4) (d:1.5)",
    "([(a)])", "([(a:2)]:0.5)", "<lora:sketch:0.7>",
    "(red:1.4) chair, [oak] table, <lora:sketch:0.7> BREAK a garden", "{a|b}", "__color__",
    "a, , , b", "a  b   c", " leading and trailing ",
    "(masterpiece:1.3), ((best quality)), [lowres]",
    "(((blurry))), dull, (wrong hands:1.4), stain, [[text]], ((extra hats)), (poor frame:1.2)",
    "UPPER (CASE:1.1)", "don't (it's:1.2)", "<|endoftext|>", "a <|endoftext|> (b:1.2)",
    "<|startoftext|> a", "(a<|endoftext|>b)", "\u0000(a)", "(a\tb)", "(a\r\nb:1.2)",
    "(a:1.2.3)", "(a:.)", "((a:1..):1.2)", "a:1.2.3) b", "[a:1.2.3)", "(a:+)",
]

BREAKS = [
    "BREAK", "a BREAK b", "a\nBREAK\nb", "aBREAK b", "a BREAKb", "a BREAKING b", "a break b",
    "a Break b", "BREAK BREAK", "a BREAK BREAK b", "BREAK a", "a BREAK", "a, BREAK, b",
    "(a BREAK b)", "(a BREAK b:1.2)", "(a) BREAK (b)", "[BREAK]", "(BREAK)", "(BREAK:-1)",
    "(BREAK:1)", "(x:-1) BREAK", "(BREAK BREAK:0)", "a BREAK_b", "a-BREAK-b", "a.BREAK.b", "éBREAK",
    "BREAK中", "\\BREAK", "a\\BREAK", "a:BREAK:b", "a [b BREAK c:d:0.5] e", "a\u2003BREAK\u2003b",
    "a BREAK b BREAK c BREAK d", "(a:-1) b", "BREAK:BREAK", "(a BREAK",
]

SCHEDULES = [
    "a [b:3]", "a [b: 3]", "a [b:3 ]", "a [b:\n3\t]", "a [b:c:3]", "a [b::3]", "a [:b:3]",
    "a [::3]", "a [:3]", "a [b:0.5]", "a [b:.5] c", "a [b:c:0.25]", "a [b:c:1]", "a [b:c:1.0]",
    "a [b:c:1.5]", "a [b:c:0]", "a [b:c:0.0]", "a [b:c:-1]", "a [b:c:-0.5]", "a [b:c:100]",
    "a [b:c:1e1]", "a [b:c:1e-1]", "a [b:c:1.e1]", "a [b:c:+5]", "a [b:c:5.]", "a [b:c:.]",
    "a [b:c:]", "a [b:c:x]", "a [b:c:3x]", "a [b:c:3 4]", "a [b:c:0.29]", "a [b:c:0.3333]",
    "a [b:c:0.999]", "a [b:c:２]", "a [b:c:d:3]", "a [b:c:d:e:3]", "k [[[l]]:2]", "[(k:2):3]",
    "[(a:2):(b:0.5):3]", "k [l : m : 1] n", "k[l:[m:n:2]:1]o", "[[a:b:2]:[c:d:6]:4]",
    "[[[a:b:1]:c:2]:d:3]", "[a:[b:[c:[d:e:8]:6]:4]:2]", "(a [b:c:3] d:1.3)", "[a (b:1.2):c:0.5]",
    "((p][:q:r [s:3]", "a [b:3", "a b:3]", "[a:b:3] [c", "[a:b:3] c)", "(a [b:c:3]", "[a:b:3]]",
    "[[a:b:3]", "[a:b:3](", "x [a:b:3] y] z", "[ [a:b:3] (c] ", "[a (b:c:d) e:3]",
    "[a:b:3] (c:d:e)", "[a:b:3] c : d", "[a:b\\:c:3]", "[a\\]:b:3]", "\\[a:b:3\\]", "\\\\[a:b:3]",
    "[a:b:3\\]", "[a:b:3] \\", "[a:b:3] \\\n c", "[a:b:3]\\\\", "[a:b:3] | c", "(a|b) [c:d:3]",
    "[a|b", "a|b", "[a|b:c:3]", "[a:b|c:3]", "[[a|b]:c:3]", "[a:[b|c]:3]", "[a|[b:c:3]]",
    "[a|[b|c]]", "[[a|b]|[c|d|e]]", "[a|b]", "[a|b|c]", "[wo|]man", "[wo|||]man", "[|a]", "[|]",
    "[||]", "[k|(l:1.1)]", "[a|b] [c|d|e]", "[a |b ] c", "[a|b] BREAK [c|d]", "([a|b]:1.3)",
    "[[a|b]]", "[a|b] [c:d:0.5]",
    "a valley with [a river:a road:0.25] and [a mill:an old barn:0.75][ to the left::0.6]"
    "[: by the wood:0.25] [rough:fine:0.5]",
    "[<lora:a:1>:<lora:b:1>:10]", "[cat:dog:5] and [dog:cat:5]", "[cat:cat:5]",
    "[a:b:10][c:d:20][e:f:30][g:h:40]", "[café:naïve:0.5] 😀[😀:👍🏽:3]", "[猫:犬:0.5]、[a|中]",
    "[a, b, c:d, e:0.2], f", "[a\nb:c\nd:3]", "\x1c[a:b:\x1c3]", "[a:b:3][a:b:3]", "[from:to:when]",
    "[portrait:a (man:1.2) with a hat:0.4], (detailed:1.1)", "[b:3] AND [c:5] :0.5",
]

COMPOSITIONS = [
    "a AND b", "a AND b :0.5", "a :1.2 AND b :0.5", "a:1 AND b:-0.5", "a :+2 AND b",
    "a : 0.5 AND b", "a\nAND\nb", "AND", "AND AND", "a AND", "AND b", "a and b", "aAND b", "a ANDb",
    "BAND AND WAGON", "a AND b AND c :0.3", "a :.5 AND b :2.", "a :1.2.3 AND b :.", "a :x AND b",
    "(a:1.3) AND (b:0.7) :0.5", "[a:b:3] AND c :0.5", "[a AND b:c:3]", "(a AND b:1.2)", "a AND a",
    "a :0.5 AND a :0.7", "a AND_b", "中AND中", "a :０.５ AND b", "a:1:2 AND b",
    "a \u2003:\u2003 0.5\u2003 AND b", "a BREAK b AND c BREAK d :0.5", "a AND b :1e1",
]

# 75 tokens, the last of them within a phrase, with the comma before at several distances.
FILLER = "red blue green oak pine snow rain wind lake hill moon star door wall roof lamp".split()


def words(count, start=0):
    return " ".join(FILLER[(start + i) % len(FILLER)] for i in range(count))


def long_prompts():
    prompts = [words(count) for count in (74, 75, 76, 149, 150, 151, 400)]
    for back in (1, 2, 5, 18, 19, 20, 21, 22, 40):
        prompts.append(words(74 - back) + ", " + words(back + 12))
    prompts.append(words(74) + ", " + words(10))
    prompts.append(words(75) + ", " + words(10))
    prompts.append(words(60) + ", " + words(5) + ", " + words(30) + ", " + words(60))
    prompts.append(", ".join(words(4, i) for i in range(40)))
    chair = "(very old carved wooden chair:1.3)"
    prompts.append(f"({words(70)}:1.2), {chair}, [{words(10)}]")
    prompts.append(words(70) + f", {chair}, " + words(70) + ", ((snow))")
    prompts.append("," * 80)
    prompts.append("," * 300 + " a")
    prompts.append(words(70) + ", a BREAK " + words(80) + ", b")
    prompts.append(words(75) + " BREAK " + words(3))
    prompts.append(words(76) + " BREAK " + words(3))
    prompts.append("(" * 40 + words(20) + ")" * 40)
    prompts.append(" ".join(f"({word}:{1 + i / 100})" for i, word in enumerate(words(90).split())))
    prompts.append("😀 " * 60 + ", a")
    prompts.append(words(70) + " <|endoftext|> " + words(20))
    prompts.append("[" + words(80) + ":" + words(5) + ":0.5], end")
    return prompts


def random_prompts(count):
    """Signs of the language in every order."""
    rng = random.Random(22)
    pieces = ["(", ")", "[", "]", ":", "|", "a", " b", "c ", ", ", ":1.3)", ":0.5]", ":3]"]
    pieces += ["\\(", "\\]", "\\\\", " BREAK ", " AND ", "[x:y:2]", "[u|v]", "(w:1.2)", "::", "1"]
    pieces += ["0.5", "é", "😀"]
    lengths = [rng.randint(3, 14) for _ in range(count)]
    return ["".join(rng.choices(pieces, k=length)) for length in lengths]


def all_prompts():
    fixed = WEIGHTS + BREAKS + SCHEDULES + COMPOSITIONS + long_prompts()
    return list(dict.fromkeys(fixed + random_prompts(60)))

