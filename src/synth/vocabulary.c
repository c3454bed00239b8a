/* See vocabulary.h. Token types and keys: llama.cpp's gguf-py/gguf/constants.py; special tokens: each model's
 * published tokenizer_config.json. */
#include "synth/vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_UNUSED = 5, TYPE_BYTE = 6 };
enum {
    SPECIALS_MAX = 12,
    TOKEN_BYTES_MAX = 64,
    N_BYTES = 256,
    N_CONSONANTS = 20,
    N_VOWELS = 5,
    N_SYLLABLES = N_CONSONANTS * N_VOWELS,
    N_PRINTABLE = 94 /* '!' to '~' */
};
#define ARENA_BYTES_MAX ((size_t)256 << 20)
#define WORD_START      "\xe2\x96\x81" /* U+2581, SentencePiece's space */
#define BPE_SPACE       "\xc4\xa0"     /* U+0120, byte-level BPE's space */
#define SCORE_CONTROL   (-1000.0f)
#define SCORE_UNUSED    (-10000.0f)

typedef struct special {
    const char *text;
    int32_t id; /* where the published vocabulary has it */
} special;

typedef struct recipe {
    bool spm;
    const char *pre;    /* tokenizer.ggml.pre */
    int32_t n_ordinary; /* published: ids from 0 that are no special tokens (SPM: bytes and controls among
                           them) */
    special specials[SPECIALS_MAX];
    const char *bos, *eos, *padding; /* texts of special tokens; NULL: no such key */
    int add_bos, add_eos;            /* -1: no such key */
    const char *chat_template;
} recipe;

#define HARMONY_TEMPLATE                                                                                     \
    "{% for message in messages %}<|start|>{{ message['role'] }}<|message|>{{ message['content'] "           \
    "}}<|end|>{% endfor %}"                                                                                  \
    "{% if add_generation_prompt %}<|start|>assistant<|channel|>final<|message|>{% endif %}"
#define PHI_TEMPLATE                                                                                         \
    "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}"               \
    "{{ '<|system|>\\n' + message['content'] + '<|end|>\\n' }}{% elif message['role'] == 'user' %}"          \
    "{{ '<|user|>\\n' + message['content'] + '<|end|>\\n' }}{% elif message['role'] == 'assistant' %}"       \
    "{{ '<|assistant|>\\n' + message['content'] + '<|end|>\\n' }}{% endif %}{% endfor %}"                    \
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
#define DEEPSEEK_TEMPLATE                                                                                    \
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"                         \
    "{{ 'User: ' + message['content'] + '\\n\\n' }}{% elif message['role'] == 'assistant' %}"                \
    "{{ 'Assistant: ' + message['content'] + eos_token }}{% else %}{{ message['content'] + '\\n\\n' }}{% "   \
    "endif %}"                                                                                               \
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
#define MIXTRAL_TEMPLATE                                                                                     \
    "{{ bos_token }}{% for message in messages %}"                                                           \
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"                                         \
    "{{ raise_exception('the roles must take turns') }}{% endif %}{% if message['role'] == 'user' %}"        \
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}{{ message['content'] + eos_token}}{% "      \
    "endif %}"                                                                                               \
    "{% endfor %}"
#define CHATML_TEMPLATE                                                                                      \
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "       \
    "'<|im_end|>\\n' }}"                                                                                     \
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
#define DEEPSEEK_BOS                                                                                         \
    "<\xef\xbd\x9c"                                                                                          \
    "begin\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"
#define DEEPSEEK_EOS                                                                                         \
    "<\xef\xbd\x9c"                                                                                          \
    "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"

static const recipe harmony = {.pre = "gpt-4o",
                               .n_ordinary = 199998,
                               .specials = {{"<|startoftext|>", 199998},
                                            {"<|endoftext|>", 199999},
                                            {"<|return|>", 200002},
                                            {"<|constrain|>", 200003},
                                            {"<|channel|>", 200005},
                                            {"<|start|>", 200006},
                                            {"<|end|>", 200007},
                                            {"<|message|>", 200008},
                                            {"<|call|>", 200012},
                                            {"<|endofprompt|>", 200018}},
                               .bos = "<|startoftext|>",
                               .eos = "<|return|>",
                               .padding = "<|endoftext|>",
                               .add_bos = -1,
                               .add_eos = -1,
                               .chat_template = HARMONY_TEMPLATE};

static const recipe phi = {.spm = true,
                           .pre = "default",
                           .n_ordinary = 32000,
                           .specials = {{"<|endoftext|>", 32000},
                                        {"<|assistant|>", 32001},
                                        {"<|system|>", 32006},
                                        {"<|end|>", 32007},
                                        {"<|user|>", 32010}},
                           .bos = "<s>",
                           .eos = "<|endoftext|>",
                           .padding = "<|endoftext|>",
                           .add_bos = 1,
                           .add_eos = 0,
                           .chat_template = PHI_TEMPLATE};

static const recipe deepseek = {.pre = "deepseek-llm",
                                .n_ordinary = 100000,
                                .specials = {{DEEPSEEK_BOS, 100000}, {DEEPSEEK_EOS, 100001}},
                                .bos = DEEPSEEK_BOS,
                                .eos = DEEPSEEK_EOS,
                                .padding = DEEPSEEK_EOS,
                                .add_bos = 1,
                                .add_eos = 0,
                                .chat_template = DEEPSEEK_TEMPLATE};

static const recipe mixtral = {.spm = true,
                               .pre = "default",
                               .n_ordinary = 32000,
                               .bos = "<s>",
                               .eos = "</s>",
                               .add_bos = 1,
                               .add_eos = 0,
                               .chat_template = MIXTRAL_TEMPLATE};

static const recipe qwen3 = {
    .pre = "qwen2",
    .n_ordinary = 151643,
    .specials = {{"<|endoftext|>", 151643}, {"<|im_start|>", 151644}, {"<|im_end|>", 151645}},
    .bos = "<|endoftext|>",
    .eos = "<|im_end|>",
    .padding = "<|endoftext|>",
    .add_bos = 0,
    .add_eos = -1,
    .chat_template = CHATML_TEMPLATE};

static const recipe *recipe_of(ssw_family family)
{
    switch (family) {
    case SSW_FAMILY_GPT_OSS:
        return &harmony;
    case SSW_FAMILY_PHIMOE:
        return &phi;
    case SSW_FAMILY_DEEPSEEK:
    case SSW_FAMILY_DEEPSEEK2:
        return &deepseek;
    case SSW_FAMILY_MIXTRAL:
        return &mixtral;
    case SSW_FAMILY_QWEN3MOE:
        break;
    }
    return &qwen3;
}

/* ---- the token list ---- */

typedef struct token_list {
    ssw_gguf_text *tokens; /* [n_vocab] */
    ssw_gguf_text *merges; /* [n_vocab]; BPE only */
    int32_t *types;        /* [n_vocab] */
    float *scores;         /* [n_vocab] */
    int32_t n_tokens, n_merges, n_vocab;
    ssw_arena arena; /* the texts */
    bool failed;
} token_list;

static ssw_gguf_text keep(token_list *list, const char *text)
{
    size_t n_bytes = strlen(text);
    char *copy = ssw_arena_copy_text(&list->arena, text, n_bytes);
    list->failed = list->failed || !copy;
    return (ssw_gguf_text){copy, copy ? n_bytes : 0};
}

static void add_token(token_list *list, const char *text, int32_t type, float score)
{
    if (list->n_tokens >= list->n_vocab)
        return;
    list->types[list->n_tokens] = type;
    list->scores[list->n_tokens] = score;
    list->tokens[list->n_tokens++] = keep(list, text);
}

/* Byte-level BPE writes byte b as one printable character: itself where it is one in Latin-1, else U+0100 and
 * on in the order of the bytes left over (the mapping of GPT-2). */
static void byte_character(int b, char text[3])
{
    unsigned point = (unsigned)b;
    bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
    if (!printable)
        point = b <= ' ' ? 256u + (unsigned)b : b <= 0xA0 ? 256u + 33u + (unsigned)b - 0x7F : 256u + 67u;
    if (point < 0x80) {
        text[0] = (char)point;
        text[1] = '\0';
    } else {
        text[0] = (char)(0xC0 | point >> 6);
        text[1] = (char)(0x80 | (point & 63));
        text[2] = '\0';
    }
}

/* A token made of two earlier ones. */
static void add_word(token_list *list, bool spm, int32_t limit, const char *left, const char *right)
{
    char text[TOKEN_BYTES_MAX];
    if (list->n_tokens >= limit)
        return;
    if (!spm) {
        snprintf(text, sizeof text, "%s %s", left, right);
        list->merges[list->n_merges++] = keep(list, text);
    }
    snprintf(text, sizeof text, "%s%s", left, right);
    add_token(list, text, TYPE_NORMAL, -(float)list->n_tokens);
}

static void make_syllable(int index, char text[3])
{
    static const char consonants[] = "tnsrhldcmfpgwybvkxjz", vowels[] = "eaiou";
    text[0] = consonants[index / N_VOWELS];
    text[1] = vowels[index % N_VOWELS];
    text[2] = '\0';
}

/* Words up to `limit` tokens: syllables, syllables after a space, pairs with and without a space, then
 * triples. */
static void add_words(token_list *list, bool spm, int32_t limit)
{
    const char *space = spm ? WORD_START : BPE_SPACE;
    char a[3], b[3], c[3], left[TOKEN_BYTES_MAX];
    for (int i = 0; i < N_SYLLABLES; i++) {
        make_syllable(i, a);
        add_word(list, spm, limit, (char[]){a[0], '\0'}, a + 1);
    }
    for (int i = 0; i < N_SYLLABLES; i++) {
        make_syllable(i, a);
        add_word(list, spm, limit, space, a);
    }
    for (int i = 0; i < N_SYLLABLES * N_SYLLABLES && list->n_tokens < limit; i++) {
        make_syllable(i / N_SYLLABLES, a);
        make_syllable(i % N_SYLLABLES, b);
        snprintf(left, sizeof left, "%s%s", space, a);
        add_word(list, spm, limit, left, b);
        add_word(list, spm, limit, a, b);
    }
    for (int i = 0; i < N_SYLLABLES * N_SYLLABLES * N_SYLLABLES && list->n_tokens < limit; i++) {
        make_syllable(i / (N_SYLLABLES * N_SYLLABLES), a);
        make_syllable(i / N_SYLLABLES % N_SYLLABLES, b);
        make_syllable(i % N_SYLLABLES, c);
        snprintf(left, sizeof left, "%s%s%s", space, a, b);
        add_word(list, spm, limit, left, c);
    }
}

static void add_spm_beginning(token_list *list)
{
    char text[TOKEN_BYTES_MAX];
    add_token(list, "<unk>", TYPE_UNKNOWN, 0);
    add_token(list, "<s>", TYPE_CONTROL, 0);
    add_token(list, "</s>", TYPE_CONTROL, 0);
    for (int i = 0; i < N_BYTES; i++) {
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)i);
        add_token(list, text, TYPE_BYTE, 0);
    }
    add_token(list, WORD_START, TYPE_NORMAL, -(float)list->n_tokens);
    for (int i = 0; i < N_PRINTABLE; i++)
        add_token(list, (char[]){(char)('!' + i), '\0'}, TYPE_NORMAL, -(float)list->n_tokens);
}

static void fill_list(const recipe *r, const ssw_shape *shape, token_list *list)
{
    int32_t n_specials = 0;
    while (n_specials < SPECIALS_MAX && r->specials[n_specials].text)
        n_specials++;
    bool published = list->n_vocab >= shape->n_vocab;
    int32_t n_ordinary = published ? r->n_ordinary : list->n_vocab - n_specials;
    char text[TOKEN_BYTES_MAX];
    if (r->spm) {
        add_spm_beginning(list);
    } else {
        for (int i = 0; i < N_BYTES; i++) {
            byte_character(i, text);
            add_token(list, text, TYPE_NORMAL, 0);
        }
    }
    add_words(list, r->spm, n_ordinary);
    for (int32_t next = 0; list->n_tokens < list->n_vocab;) {
        bool is_special = next < n_specials && (!published || r->specials[next].id == list->n_tokens);
        if (is_special) {
            add_token(list, r->specials[next++].text, TYPE_CONTROL, SCORE_CONTROL);
        } else {
            snprintf(text, sizeof text, "[PAD%d]", list->n_tokens);
            add_token(list, text, TYPE_UNUSED, SCORE_UNUSED);
        }
    }
}

/* ---- the keys ---- */

static void set_token_id(ssw_gguf_writer *writer, const char *key, const token_list *list, const char *text)
{
    for (int32_t i = 0; text && i < list->n_tokens; i++) {
        const ssw_gguf_text *token = &list->tokens[i];
        if (ssw_gguf_text_is(token, text)) {
            ssw_gguf_writer_set_u32(writer, key, (uint32_t)i);
            return;
        }
    }
}

static void set_keys(const recipe *r, const token_list *list, ssw_gguf_writer *writer)
{
    uint64_t n = (uint64_t)list->n_tokens;
    ssw_gguf_writer_set_text(writer, "tokenizer.ggml.model", r->spm ? "llama" : "gpt2");
    ssw_gguf_writer_set_text(writer, "tokenizer.ggml.pre", r->pre);
    ssw_gguf_writer_set_texts(writer, "tokenizer.ggml.tokens", list->tokens, n);
    if (r->spm)
        ssw_gguf_writer_set_array(writer, "tokenizer.ggml.scores", SSW_GGUF_F32, list->scores, n);
    ssw_gguf_writer_set_array(writer, "tokenizer.ggml.token_type", SSW_GGUF_I32, list->types, n);
    if (!r->spm)
        ssw_gguf_writer_set_texts(writer, "tokenizer.ggml.merges", list->merges, (uint64_t)list->n_merges);
    set_token_id(writer, "tokenizer.ggml.bos_token_id", list, r->bos);
    set_token_id(writer, "tokenizer.ggml.eos_token_id", list, r->eos);
    if (r->spm)
        ssw_gguf_writer_set_u32(writer, "tokenizer.ggml.unknown_token_id", 0);
    set_token_id(writer, "tokenizer.ggml.padding_token_id", list, r->padding);
    if (r->add_bos >= 0)
        ssw_gguf_writer_set_bool(writer, "tokenizer.ggml.add_bos_token", r->add_bos > 0);
    if (r->add_eos >= 0)
        ssw_gguf_writer_set_bool(writer, "tokenizer.ggml.add_eos_token", r->add_eos > 0);
    ssw_gguf_writer_set_text(writer, "tokenizer.chat_template", r->chat_template);
}

ssw_status ssw_vocabulary_write(const ssw_shape *shape, int32_t n_vocab, ssw_gguf_writer *writer,
                                ssw_error *err)
{
    const recipe *r = recipe_of(shape->family);
    size_t n = (size_t)n_vocab;
    token_list list = {.tokens = calloc(n, sizeof *list.tokens),
                       .merges = calloc(n, sizeof *list.merges),
                       .types = calloc(n, sizeof *list.types),
                       .scores = calloc(n, sizeof *list.scores),
                       .n_vocab = n_vocab};
    ssw_status status = SSW_OK;
    ssw_arena_init(&list.arena, ARENA_BYTES_MAX);
    if (list.tokens && list.merges && list.types && list.scores)
        fill_list(r, shape, &list);
    else
        list.failed = true;
    if (list.failed)
        status = ssw_error_set(err, SSW_ERR_NOMEM, "out of memory for a vocabulary of %d tokens", n_vocab);
    else
        set_keys(r, &list, writer);
    ssw_arena_deinit(&list.arena);
    free(list.tokens);
    free(list.merges);
    free(list.types);
    free(list.scores);
    return status;
}
