#include "evaluators/tasks/task_template.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

const json& Record() {
  static const json& record = *new json(json::parse(R"({
    "question": "  Why? ",
    "n": 3, "x": 1.5, "whole": 2.0, "tiny": 0.00001, "yes": true,
    "nothing": null, "label": "1",
    "choices": {"text": ["red", "green", "blue"], "label": ["A", "B", "C"]},
    "words": ["a", "", "b"],
    "Best Answer": "forty two",
    "umlaut": "ärger über Öl"
  })"));
  return record;
}

absl::StatusOr<json> Value(absl::string_view text,
                           const json& record = Record()) {
  auto compiled = TaskTemplate::Compile(text);
  if (!compiled.ok()) return compiled.status();
  return compiled->Value(record);
}

std::string Text(absl::string_view text, const json& record = Record()) {
  auto compiled = TaskTemplate::Compile(text);
  if (!compiled.ok()) return compiled.status().ToString();
  auto result = compiled->Text(record);
  return result.ok() ? *result : result.status().ToString();
}

json Of(absl::string_view text, const json& record = Record()) {
  auto value = Value(text, record);
  return value.ok() ? *value : json(value.status().ToString());
}

TEST(TaskTemplateTest, TextAndFieldsArePrinted) {
  EXPECT_EQ(Text(""), "");
  EXPECT_EQ(Text("No tags { } % }} here"), "No tags { } % }} here");
  EXPECT_EQ(Text("Q:{{question}}\nA: {{ n }}{{x}}"), "Q:  Why? \nA: 31.5");
  EXPECT_EQ(Text("{{ yes }} {{ whole }} {{ tiny }}"), "True 2.0 1e-05");
  EXPECT_EQ(Text("a{# not this #}b"), "ab");
  EXPECT_EQ(Text("a {{- n -}} b"), "a3b");
  EXPECT_EQ(Text("a {#- x -#} b {%- if n -%} c {%- endif -%} d"), "abcd");
}

TEST(TaskTemplateTest, OneExpressionKeepsItsType) {
  EXPECT_EQ(Of("{{ choices.text }}"), json({"red", "green", "blue"}));
  EXPECT_EQ(Of("{{ n }}"), 3);
  EXPECT_EQ(Of("{% set a = n + 1 %}{{ [a, question] }}"), json({4, "  Why? "}));
  EXPECT_EQ(Of("{{ n }} "), "3 ");
}

TEST(TaskTemplateTest, BareNameOfAFieldIsTheField) {
  EXPECT_EQ(Of("choices"), Record()["choices"]);
  EXPECT_EQ(Of("Best Answer"), "forty two");
  EXPECT_EQ(Of("label"), "1");
  EXPECT_EQ(Of("no such field"), "no such field");
  ASSERT_OK_AND_ASSIGN(const TaskTemplate name, TaskTemplate::Compile("n"));
  EXPECT_TRUE(name.NamesField(Record()));
  EXPECT_EQ(name.source(), "n");
  EXPECT_FALSE(TaskTemplate().NamesField({{"", 1}}));
  EXPECT_EQ(*TaskTemplate().Text(Record()), "");
}

TEST(TaskTemplateTest, AccessByNameIndexAndSlice) {
  EXPECT_EQ(Text("{{ choices.text[0] }} {{ choices['label'][-1] }}"), "red C");
  EXPECT_EQ(Text("{{ record['Best Answer'] }}"), "forty two");
  EXPECT_EQ(Of("{{ choices.text[1:] }}"), json({"green", "blue"}));
  EXPECT_EQ(Of("{{ choices.text[:-1] }}"), json({"red", "green"}));
  EXPECT_EQ(Of("{{ choices.text[5:] }}"), json::array());
  EXPECT_EQ(Of("{{ choices.text[2:1] }}"), json::array());
  EXPECT_EQ(Text("{{ umlaut[0] }}{{ umlaut[-2:] }}{{ umlaut[1:3] }}"), "äÖlrg");
  EXPECT_EQ(Text("{{ umlaut[:] }}"), "ärger über Öl");
}

TEST(TaskTemplateTest, LiteralsHavePythonsEscapes) {
  EXPECT_EQ(Text(R"({{ "a\n\t\"\\" ~ 'b\'' ~ "\d\u00e4\x41" }})"),
            "a\n\t\"\\b'\\d\u00e4A");
  EXPECT_EQ(Text("{{ 'one ' 'two' }}"), "one two");
  EXPECT_EQ(Of("{{ [1, 2.5, 'x', true, False, none] }}"),
            json({1, 2.5, "x", true, false, nullptr}));
  EXPECT_EQ(Of("{{ [1,] }}"), json({1}));
  EXPECT_EQ(Of("{{ range(3) }}"), json({0, 1, 2}));
  EXPECT_EQ(Of("{{ range(2, 4) }}"), json({2, 3}));
}

TEST(TaskTemplateTest, OperatorsMeanWhatPythonMeans) {
  EXPECT_EQ(Of("{{ 1 + 2 * 3 - 4 }}"), 3);
  EXPECT_EQ(Of("{{ -7 // 2 }}"), -4);
  EXPECT_EQ(Of("{{ -7 % 3 }}"), 2);
  EXPECT_EQ(Of("{{ 7 % -3 }}"), -2);
  EXPECT_EQ(Of("{{ (1 + 2) * 1.5 }}"), 4.5);
  EXPECT_EQ(Text("{{ n ~ '/' ~ x }}"), "3/1.5");
  EXPECT_EQ(Of("{{ [1] + [2] }}"), json({1, 2}));
  EXPECT_EQ(Of("{{ [1] * 2 + [0] * 0 }}"), json({1, 1}));
  EXPECT_EQ(Text("{{ 'a' + 'b' }}"), "ab");
  EXPECT_EQ(Of("{{ 1 == 1.0 and true == 1 and 'a' != 'b' }}"), true);
  EXPECT_EQ(Of("{{ 2 < 10 and 'b' > 'a' and 1 <= 1 and 2 >= 1 }}"), true);
  EXPECT_EQ(Of("{{ 'h' in 'why' and 'red' in choices.text }}"), true);
  EXPECT_EQ(Of("{{ 'n' in record and 'm' not in record }}"), true);
  EXPECT_EQ(Of("{{ not n == 3 or 0 }}"), 0);
  EXPECT_EQ(Of("{{ nothing or 'else' }}"), "else");
  EXPECT_EQ(Of("{{ '' and missing }}"), "");
  EXPECT_EQ(Of("{{ 'a' if n > 5 else 'b' if n > 2 else 'c' }}"), "b");
  // The branch that is not taken is not evaluated.
  EXPECT_EQ(Of("{{ 'a' if true else missing }}"), "a");
}

TEST(TaskTemplateTest, TestsAskWhatAValueIs) {
  EXPECT_EQ(Of("{{ n is defined and m is not defined }}"), true);
  EXPECT_EQ(Of("{{ choices.text is defined }}"), true);
  EXPECT_EQ(Of("{{ words.text is undefined and n.a.b is undefined }}"), true);
  EXPECT_EQ(Of("{{ words[7] is undefined }}"), true);
  EXPECT_EQ(Of("{{ nothing is none and question is string }}"), true);
  EXPECT_EQ(Of("{{ x is number and words is list and yes is not number }}"),
            true);
  EXPECT_EQ(Text("{{ m | default('none given') }}"), "none given");
  EXPECT_EQ(Text("{{ n | default('none given') }}"), "3");
  EXPECT_EQ(Text("{{ '' | default('empty', true) }}"), "empty");
}

TEST(TaskTemplateTest, FiltersAndMethodsOfTexts) {
  EXPECT_EQ(Text("{{ question.strip() }}|{{ question | trim }}"), "Why?|Why?");
  EXPECT_EQ(Text("[{{ question.lstrip() }}][{{ question.rstrip() }}]"),
            "[Why? ][  Why?]");
  EXPECT_EQ(Text("{{ 'xxaxx'.strip('x') }}"), "a");
  EXPECT_EQ(Text("{{ 'The END'.lower() ~ 'the' | upper }}"), "the endTHE");
  EXPECT_EQ(Text("{{ umlaut.capitalize() }}"), "Ärger über öl");
  EXPECT_EQ(Text("{{ umlaut | upper }}"), "ÄRGER ÜBER ÖL");
  EXPECT_EQ(Text("{{ 'aXbXc'.replace('X', '--') }}"), "a--b--c");
  EXPECT_EQ(Text("{{ 'aXbXc' | replace('X', '', 1) }}"), "abXc");
  EXPECT_EQ(Text("{{ 'a [x] b [y]' | regex_replace('\\[.*?\\]', '') }}"),
            "a  b ");
  EXPECT_EQ(Text("{{ 'ab' | regex_replace('(a)(b)', '\\2\\1') }}"), "ba");
  EXPECT_EQ(Of("{{ 'a b  c '.split() }}"), json({"a", "b", "c"}));
  EXPECT_EQ(Of("{{ ' a b  c '.split(none, 1) }}"), json({"a", "b  c "}));
  EXPECT_EQ(Of("{{ 'a b  c'.split(' ') }}"), json({"a", "b", "", "c"}));
  EXPECT_EQ(Of("{{ 'a,b,c' | split(',', 1) }}"), json({"a", "b,c"}));
  EXPECT_EQ(Of("{{ 'a,b,c'.rsplit(',', 1) }}"), json({"a,b", "c"}));
  EXPECT_EQ(Of("{{ 'abc'.startswith('ab') and 'abc'.endswith('c') }}"), true);
  EXPECT_EQ(Of("{{ umlaut.index('b') }}"), 7);
  EXPECT_EQ(Of("{{ umlaut.find('z') }}"), -1);
  EXPECT_EQ(Of("{{ 'banana'.count('an') }}"), 2);
  EXPECT_EQ(Of("{{ umlaut | length }}"), 13);
  EXPECT_EQ(Text("{{ umlaut | first }}{{ umlaut | last }}"), "äl");
  EXPECT_EQ(Of("{{ ' 12 ' | int + 1 }}"), 13);
  EXPECT_EQ(Of("{{ 2.9 | int }}"), 2);
  EXPECT_EQ(Of("{{ 12 | string }}"), "12");
  EXPECT_EQ(Of("{{ 'äb' | list }}"), json({"ä", "b"}));
}

TEST(TaskTemplateTest, FiltersAndMethodsOfListsAndObjects) {
  EXPECT_EQ(Text("{{ choices.text | join(', ') }}"), "red, green, blue");
  EXPECT_EQ(Text("{{ ' '.join(choices.label) }}"), "A B C");
  EXPECT_EQ(Text("{{ [1, 2] | join }}"), "12");
  EXPECT_EQ(Of("{{ choices.label.index('B') }}"), 1);
  EXPECT_EQ(Of("{{ [1, 2, 1].count(1) }}"), 2);
  EXPECT_EQ(Of("{{ words | select }}"), json({"a", "b"}));
  EXPECT_EQ(Of("{{ words | map('upper') | map('replace', 'A', 'x') }}"),
            json({"x", "", "B"}));
  EXPECT_EQ(Of("{{ words | first ~ words | last }}"), "ab");
  EXPECT_EQ(Of("{{ words | length + choices | length }}"), 5);
  EXPECT_EQ(Of("{{ words | list }}"), Record()["words"]);
  EXPECT_EQ(Of("{{ choices.get('text')[0] }}"), "red");
  EXPECT_EQ(Of("{{ choices.get('other', 'x') }}"), "x");
  EXPECT_EQ(Of("{{ choices.get('other') is none }}"), true);
}

TEST(TaskTemplateTest, PartsOfItemsAreMapped) {
  const json record = json::parse(R"({
    "options": [{"text": "one", "n": 2}, {"text": "two", "n": 1}],
    "pairs": [["a", ["x"]], ["b", ["y"]]]
  })");
  EXPECT_EQ(Of("{{ options | map(attribute='text') }}", record),
            json({"one", "two"}));
  EXPECT_EQ(Text("{{ options | map(attribute='text') | join('/') }}", record),
            "one/two");
  EXPECT_EQ(Of("{{ pairs | map(attribute='1.0') }}", record), json({"x", "y"}));
  EXPECT_EQ(Of("{{ pairs | map(attribute=0) | list }}", record),
            json({"a", "b"}));
  EXPECT_EQ(Of("{{ options | map(attribute='m', default=0) }}", record),
            json({0, 0}));
  EXPECT_EQ(Text("{{ options | join(', ', attribute='text') }}", record),
            "one, two");
  EXPECT_EQ(Text("{{ options | join(attribute='n') }}", record), "21");
  EXPECT_EQ(
      Of("{{ options | sort(attribute='n') | map(attribute='text') }}", record),
      json({"two", "one"}));
  EXPECT_THAT(Value("{{ options | map(attribute='m') }}", record),
              StatusIs(kInvalid, HasSubstr("no field \"m\"; there are: ")));
  EXPECT_THAT(Value("{{ pairs | map(attribute='2') }}", record),
              StatusIs(kInvalid, HasSubstr("no field \"2\" in ")));
}

TEST(TaskTemplateTest, ArgumentsMayHaveNames) {
  EXPECT_EQ(Text("{{ 'aXbXc'.replace('X', '', count=1) }}"), "abXc");
  EXPECT_EQ(Text("{{ 'aXbXc' | replace(new='-', old='X') }}"), "a-b-c");
  EXPECT_EQ(Of("{{ 'a b c'.split(maxsplit=1) }}"), json({"a", "b c"}));
  EXPECT_EQ(Of("{{ 'a,b,c'.rsplit(sep=',', maxsplit=1,) }}"),
            json({"a,b", "c"}));
  EXPECT_EQ(Text("{{ '' | default('empty', boolean=true) }}"), "empty");
  EXPECT_EQ(Text("{{ m | default(default_value='none') }}"), "none");
  EXPECT_EQ(Text("{{ words | map('replace', new='x', old='a') | join('.') }}"),
            "x..b");
}

// Jinja 3.1.6 prints the same.
TEST(TaskTemplateTest, FiltersThatOrderRoundAndWrite) {
  EXPECT_EQ(Text("{{ \"they're HERE (now)-x\" | title }}"),
            "They're Here (Now)-X");
  EXPECT_EQ(Text("{{ \"they're HERE (now)-x\".title() }}"),
            "They'Re Here (Now)-X");
  EXPECT_EQ(Text("{{ umlaut | title }}"), "Ärger Über Öl");
  EXPECT_EQ(Text("{{ umlaut | reverse }}"), "lÖ rebü regrä");
  EXPECT_EQ(Of("{{ choices.text | reverse }}"), json({"blue", "green", "red"}));
  EXPECT_EQ(Of("{{ ['b', 'A', 'a', 'B'] | sort }}"),
            json({"A", "a", "b", "B"}));
  EXPECT_EQ(Of("{{ ['b', 'A', 'a', 'B'] | sort(case_sensitive=true) }}"),
            json({"A", "B", "a", "b"}));
  EXPECT_EQ(Of("{{ [2, 1.5, true, 10] | sort }}"), json({true, 1.5, 2, 10}));
  EXPECT_EQ(Of("{{ [1, 3, 2] | sort(true) }}"), json({3, 2, 1}));
  // Equal keys keep their order in reverse as well.
  EXPECT_EQ(Of("{{ ['b', 'a', 'B'] | sort(reverse=true) }}"),
            json({"b", "B", "a"}));
  EXPECT_EQ(Of("{{ [] | sort }}"), json::array());
  EXPECT_EQ(Text("{{ 42.55 | round }} {{ 42.55 | round(1) }}"), "43.0 42.5");
  EXPECT_EQ(Text("{{ 2.5 | round }} {{ 0.125 | round(precision=2) }}"),
            "2.0 0.12");
  EXPECT_EQ(Text("{{ 42.55 | round(1, 'floor') }} "
                 "{{ 42.51 | round(method='ceil') }} {{ 7 | round }}"),
            "42.5 43.0 7");
  EXPECT_EQ(Of("{{ '2.5' | float + 1 }}"), 3.5);
  EXPECT_EQ(Text("{{ n | float }} {{ yes | float }}"), "3.0 1.0");
  EXPECT_EQ(Of("{{ 7 / 2 }}"), 3.5);
  EXPECT_EQ(Text("{{ 6 / 3 }} {{ 6 // 3 }} {{ 1 / 2 * 4 }}"), "2.0 2 2.0");
  EXPECT_EQ(Text("{{ {'b': [1, 2.0, none], 'a': 'x\"<\u00e4'} | tojson }}"),
            "{\"a\": \"x\\\"\\u003c\\u00e4\", \"b\": [1, 2.0, null]}");
  EXPECT_EQ(Text("{{ \"it's\" | tojson }}{{ true | tojson }}{{ [] | tojson }}"),
            "\"it\\u0027s\"true[]");
}

TEST(TaskTemplateTest, ObjectsAreWrittenAndTakenApart) {
  EXPECT_EQ(Of("{{ {'A': 0, 'B': 1,}['B'] }}"), 1);
  EXPECT_EQ(Text("{{ {0: 'no', 1: 'yes'}[yes | int] }}"), "yes");
  EXPECT_EQ(Text("{{ {'a': {'b': 'deep'}}.a.b }}{{ {} | length }}"), "deep0");
  EXPECT_EQ(Of("{{ {'a': 1}}}"), json({{"a", 1}}));
  EXPECT_EQ(Of("{{ choices.items() | map('first') }}"),
            json({"label", "text"}));
  EXPECT_EQ(Of("{{ choices.keys() }}"), json({"label", "text"}));
  EXPECT_EQ(Of("{{ {'b': 2, 'a': 1}.values() }}"), json({1, 2}));
  EXPECT_EQ(Of("{{ {'b': 2} | items }}"), json::array({{"b", 2}}));
  EXPECT_EQ(Text("{% for k, v in {'b': 2, 'a': 1}.items() %}{{ k }}={{ v }}"
                 "{% if not loop.last %},{% endif %}{% endfor %}"),
            "a=1,b=2");
  EXPECT_EQ(Text("{% for a, b, c in [[1, 2, 3]] %}{{ c }}{{ a }}{% endfor %}"),
            "31");
  EXPECT_THAT(Value("{% for a, b in [[1]] %}{% endfor %}"),
              StatusIs(kInvalid, HasSubstr("expected a list of 2 items")));
  EXPECT_THAT(Value("{% for a, b in ['xy'] %}{% endfor %}"),
              StatusIs(kInvalid, HasSubstr("expected a list of 2 items")));
}

TEST(TaskTemplateTest, StatementsChooseAndRepeat) {
  EXPECT_EQ(Text("{% if n > 5 %}a{% elif n > 2 %}b{% else %}c{% endif %}"),
            "b");
  EXPECT_EQ(Text("{% if n > 5 %}a{% endif %}"), "");
  EXPECT_EQ(Text("{% for c in choices.text %}{{ 'ABC'[loop.index0] }}. {{ c }}"
                 "{% if not loop.last %}\n{% endif %}{% endfor %}"),
            "A. red\nB. green\nC. blue");
  EXPECT_EQ(Text("{% for i in range(2) %}{% for j in range(2) %}"
                 "{{ loop.index }}{{ i }}{{ j }} {% endfor %}{% endfor %}"),
            "100 201 110 211 ");
  // Variables end with the loop that sets them, and hide fields.
  EXPECT_EQ(Text("{% set n = 7 %}{% for i in [1] %}{% set n = 8 %}{{ n }}"
                 "{% endfor %}{{ n }}"),
            "87");
  EXPECT_EQ(Text("{% for x in words %}{{ loop.first }} {{ loop.length }};"
                 "{% endfor %}"),
            "True 3;False 3;False 3;");
}

TEST(TaskTemplateTest, MissingFieldsAreNamedBesideThoseThereAre) {
  EXPECT_THAT(
      Value("{{ answer }}", {{"question", 1}, {"answr", 2}}),
      StatusIs(kInvalid, HasSubstr("no field \"answer\"; there are: \"answr\", "
                                   "\"question\"")));
  EXPECT_THAT(Value("{{ choices.answer }}"),
              StatusIs(kInvalid, AllOf(HasSubstr("no field \"answer\""),
                                       HasSubstr("\"label\", \"text\""))));
  EXPECT_THAT(Value("{{ words[3] }}"),
              StatusIs(kInvalid, HasSubstr("index 3 of 3 items")));
  EXPECT_THAT(Value("{{ n.real }}"),
              StatusIs(kInvalid, HasSubstr("no field \"real\" in 3")));
}

TEST(TaskTemplateTest, ListsAndNothingAreNotPrinted) {
  for (const char* text : {"x{{ words }}", "x{{ nothing }}", "x{{ choices }}",
                           "{{ words ~ 'x' }}", "{{ nothing | upper }}"}) {
    EXPECT_THAT(Value(text),
                StatusIs(kInvalid, HasSubstr("expected a text or a number")))
        << text;
  }
  ASSERT_OK_AND_ASSIGN(const TaskTemplate list,
                       TaskTemplate::Compile("{{ words }}"));
  EXPECT_THAT(list.Text(Record()), StatusIs(kInvalid, HasSubstr("an array")));
}

TEST(TaskTemplateTest, WrongTypesAreRefused) {
  for (const char* text : {"{{ question + 1 }}",
                           "{{ 'a' * 2 }}",
                           "{{ words - words }}",
                           "{{ 1 < 'a' }}",
                           "{{ 1 in 2 }}",
                           "{{ -question }}",
                           "{{ 5 % 0 }}",
                           "{{ 5 // 0 }}",
                           "{{ 1.5 // 2 }}",
                           "{{ 9223372036854775807 + 1 }}",
                           "{{ 'x' | int }}",
                           "{{ [] | first }}",
                           "{{ '' | last }}",
                           "{{ n | length }}",
                           "{{ n.split(',') }}",
                           "{{ 'a'.split('') }}",
                           "{{ 'a'.index('b') }}",
                           "{{ words.index('z') }}",
                           "{{ n | join(',') }}",
                           "{{ 'a' | regex_replace('(', '') }}",
                           "{{ 'a' | regex_replace('a', '\\\\7') }}",
                           "{{ '\u00e9' | regex_replace('^\\C', '') }}",
                           "{{ words | map('int') }}",
                           "{{ n | select }}",
                           "{{ n | map('upper') }}",
                           "{{ words['a'] }}",
                           "{{ words[1.5] }}",
                           "{{ n[0] }}",
                           "{{ n[1:] }}",
                           "{% for x in n %}{% endfor %}",
                           "{{ range('a') }}",
                           "{{ 'a'.replace('', 'b') }}",
                           "{{ question.get('x') }}",
                           "{{ ['a'] * 2 }}",
                           "{{ 1 / 0 }}",
                           "{{ 'a' / 2 }}",
                           "{{ [1, 'a'] | sort }}",
                           "{{ [[1]] | sort }}",
                           "{{ 'ba' | sort }}",
                           "{{ n | reverse }}",
                           "{{ 1.5 | round(16) }}",
                           "{{ 1.5 | round(-1) }}",
                           "{{ 1.5 | round(method='up') }}",
                           "{{ 'x' | float }}",
                           "{{ 'nan' | float }}",
                           "{{ words | items }}",
                           "{{ words.keys() }}",
                           "{{ {none: 1} }}",
                           "{{ {1.5: 1} }}",
                           "{{ choices[1.5] }}",
                           "{{ n | map(attribute='x') }}",
                           "{{ [1] | map(attribute='x') }}",
                           "{{ [[1]] | map(attribute=none) }}"}) {
    EXPECT_THAT(Value(text), StatusIs(kInvalid, HasSubstr(""))) << text;
  }
}

TEST(TaskTemplateTest, SyntaxErrorsSayWhere) {
  const std::pair<const char*, const char*> cases[] = {
      {"{{ a", "character 1: {{ is not closed"},
      {"{% if a", "character 1: {% is not closed"},
      {"x{# a", "character 2: a comment {# is not closed"},
      {"{{ 'a }}", "character 4: a string is not closed"},
      {"{{ '\\ud800' }}", "character 4: a string with a broken \\u"},
      {"{{ a ; b }}", "character 6: unexpected \";\""},
      {"{{ }}", "character 4: expected a value, got }}"},
      {"{{ a b }}", "character 6: expected }}, got \"b\""},
      {"{{ a | }}", "expected a filter"},
      {"{{ a | frobnicate }}", "unknown filter \"frobnicate\"; known: "},
      {"{{ a.frobnicate() }}", "unknown method \"frobnicate\"; known: "},
      {"{{ a.int() }}", "unknown method \"int\""},
      {"{{ a | replace('x') }}", "replace takes 2 to 3 arguments, got 1"},
      {"{{ a | join(e=',') }}",
       "filter join has no argument \"e\"; known: d, attribute"},
      {"{{ a | join(',', d=',') }}", "argument d is given twice"},
      {"{{ a | join(d=',', 'x') }}", "behind one that has a name"},
      {"{{ a.replace(new='x') }}", "replace takes 2 to 3 arguments, got 1"},
      {"{{ range(stop=3) }}", "arguments have no names here"},
      {"{{ a | title(x=1) }}", "filter title has no argument \"x\""},
      {"{{ a(1) }}", "only methods, filters and range() can be called"},
      {"{{ a if b }}", "expected else"},
      {"{{ 1 < 2 < 3 }}", "comparisons cannot be chained"},
      {"{{ a is odd }}", "expected defined, undefined"},
      {"{{ a[1 }}", "expected \"]\""},
      {"{{ a[::2] }}", "expected"},
      {"{{ (a }}", "expected \")\""},
      {"{{ [a b] }}", "expected a comma or \"]\""},
      {"{{ range() }}", "range takes one or two numbers"},
      {"{{ 99999999999999999999 }}", "is too large"},
      {"{{ words | map(5) }}", "the name of a filter in quotes"},
      {"{{ words | map(attr='x') }}", "filter map has no argument \"attr\""},
      {"{{ words | map(default='x') }}", "filter map takes 1 to 2 arguments"},
      {"{{ {'a' 1} }}", "expected \":\""},
      {"{{ {'a': 1 'b'} }}", "expected a comma or \"}\""},
      {"{{ {'a': 1 }}", "unexpected \"}\""},
      {"{{ {'a': 1 ", "{{ is not closed"},
      {"{{ a } }}", "unexpected \"}\""},
      {"{% for a, in b %}{% endfor %}", "expected a name"},
      {"{% if a %}x", "expected {% endif %}"},
      {"{% for a %}x{% endfor %}", "expected in"},
      {"{% for if in a %}x{% endfor %}", "expected a name"},
      {"{% for a in b %}x", "expected {% endfor %}"},
      {"{% endif %}", "{% endif %} without what it belongs to"},
      {"{% else %}", "{% else %} without what it belongs to"},
      {"{% macro x() %}", "expected set, if or for"},
      {"{% set a %}", "expected \"=\""},
      {"{% set a = 1 }}", "unexpected \"}\""},
  };
  for (const auto& [text, fault] : cases) {
    EXPECT_THAT(TaskTemplate::Compile(text),
                StatusIs(kInvalid, HasSubstr(fault)))
        << text;
  }
  EXPECT_THAT(TaskTemplate::Compile("\xFF"),
              StatusIs(kInvalid, HasSubstr("not UTF-8")));
}

TEST(TaskTemplateTest, DeepAndLargeTemplatesAreRefused) {
  const auto repeat = [](const std::string& text, int times) {
    std::string result;
    for (int i = 0; i < times; ++i) result += text;
    return result;
  };
  for (const std::string& deep :
       {"{{ " + repeat("(", 5000) + "1 }}", "{{ " + repeat("[", 5000) + "1 }}",
        "{{ " + repeat("not ", 5000) + "1 }}",
        "{{ " + repeat("-", 5000) + "1 }}", "{{ 1" + repeat("+1", 5000) + " }}",
        "{{ a" + repeat(".a", 5000) + " }}",
        "{{ a" + repeat("|trim", 5000) + " }}",
        "{{ " + repeat("a if a else ", 2000) + " a }}",
        "{{ " + repeat("{'a': ", 2000) + "1" + repeat("}", 2000) + " }}",
        "{{ a" + repeat("|join(d=a", 2000) + " }}", repeat("{% if a %}", 3000),
        // Chains inside brackets inside chains.
        "{{ " + repeat("(", 60) + "1" + repeat(repeat("+1", 60) + ")", 60) +
            " }}"}) {
    EXPECT_THAT(TaskTemplate::Compile(deep),
                StatusIs(kInvalid, HasSubstr("levels deep")));
  }
  EXPECT_THAT(TaskTemplate::Compile(std::string(40'000, 'x')),
              StatusIs(kInvalid, HasSubstr("larger than 32768 bytes")));
}

TEST(TaskTemplateTest, RunawayEvaluationsAreEnded) {
  const std::string big(1 << 20, 'x');
  const json record = {{"big", big}, {"r", 100}};
  const std::string loops =
      "{% for a in range(1000) %}{% for b in range(1000) %}"
      "{% for c in range(1000) %}{% endfor %}{% endfor %}{% endfor %}";
  EXPECT_THAT(Value(loops, record),
              StatusIs(kInvalid, HasSubstr("too many steps")));
  EXPECT_THAT(Value("{% for a in range(100) %}{{ big }}{% endfor %}", record),
              StatusIs(kInvalid, HasSubstr("more than")));
  EXPECT_THAT(Value("{{ big.replace('x', 'yyyyyyyy') }}", record),
              StatusIs(kInvalid, HasSubstr("larger than")));
  EXPECT_THAT(Value("{{ big | list }}", record),
              StatusIs(kInvalid, HasSubstr("larger than")));
  EXPECT_THAT(Value("{{ big.split('x') }}", record),
              StatusIs(kInvalid, HasSubstr("larger than")));
  EXPECT_THAT(Value("{{ range(100000) }}", record),
              StatusIs(kInvalid, HasSubstr("range() beyond")));
  EXPECT_THAT(Value("{{ [1] * 1000000 }}", record),
              StatusIs(kInvalid, HasSubstr("more than 100000 items")));
  EXPECT_THAT(
      Value("{% for a in range(1000) %}{{ big.count('z') }}{% endfor %}",
            record),
      StatusIs(kInvalid, HasSubstr("too many steps")));
  EXPECT_THAT(Value("{% for a in range(10000) %}{% for b in range(10000) %}"
                    "{{ {'a': a, 'b': b} | tojson }}{% endfor %}{% endfor %}",
                    record),
              StatusIs(kInvalid, HasSubstr("too many steps")));
  EXPECT_THAT(
      Value("{{ range(10000) | map(attribute='a', default=big) }}", record),
      StatusIs(kInvalid, HasSubstr("too many steps")));
  EXPECT_THAT(Value("{{ [record] | map(attribute=big) }}", record),
              StatusIs(kInvalid, HasSubstr("more than 128 bytes")));
  // Lists in lists, one level a statement.
  std::string nested = "{% set a = [1] %}";
  for (int i = 0; i < 100; ++i) nested += "{% set a = [a] %}";
  EXPECT_THAT(Value(nested + "{{ a }}", record),
              StatusIs(kInvalid, HasSubstr("nested too deeply")));
}

}  // namespace
}  // namespace quantd::test
