/* See token_files.h. Failures here are faults of the test program: it stops. */
#include "token_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOKENS_MAX = 400, TEXTS_BYTES = 16 * 1024 };

const char plain_template[] = "{%- for m in messages -%}<|start|>{{ m.role }}<|channel|>final<|message|>{{ "
                              "m.content }}<|end|>{%- endfor -%}";
const char published_template[] = "<|start|>system<|message|>Knowledge cutoff: 2024-06<|end|><|channel|>";

const plain_format plain_formats[] = {
    {"phi3",
     "{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\n' + message['content'] + "
     "'<|end|>\n'}}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{{'<|assistant|>\n'}}"},
    {"deepseek",
     "{{ bos_token }}{{ 'User: ' + message['content'] + '\n\n' }}{{ 'Assistant: ' + message['content'] + "
     "eos_token }}{{ message['content'] + '\n\n' }}{{ 'Assistant:' }}"},
    {"deepseek-v3",
     "{{bos_token}}{{ns.system_prompt}}{% if ns.is_first_sp %}{{'<｜User｜>' + message['content']}}"
     "{{'<｜Assistant｜>' + message['content'] + '<｜end▁of▁sentence｜>'}}{{'<｜Assistant｜>'}}"},
    {"mistral", "{{ bos_token }}{{ raise_exception('x') }}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
                "{{ message['content'] + eos_token}}"},
    {"mistral-v1", "{{- bos_token }}{{ raise_exception('x') }}{{- ' [INST] ' + system_message + '\\n\\n' + "
                   "message[\"content\"] + ' [/INST]' }}{{- ' [INST] ' + message['content'] + ' [/INST]' }}"
                   "{{- ' ' + message['content'] + eos_token}}"},
    {"chatml", "{% if add_generation_prompt %}{{'<|im_start|>' + message.role + '\\n' + message.content + "
               "'<|im_end|>'}}'<|im_start|>system\\nYou help.<|im_end|>'"},
};

static const char *const usual_merges[] = {"h e", "l l",   "he ll",     "hell o", "Ġ w",
                                           "a a", "aa aa", "aaaa aaaa", "ð Ł",    NULL};

typedef struct vocab {
    ssw_gguf_text tokens[TOKENS_MAX];
    int32_t types[TOKENS_MAX];
    size_t n;
    char texts[TEXTS_BYTES];
    size_t n_texts;
} vocab;

static char path[64];

static void stop(const char *what)
{
    fprintf(stderr, "token files: %s\n", what);
    abort();
}

static void add(vocab *v, const char *text, size_t n_bytes, int type)
{
    if (v->n == TOKENS_MAX || n_bytes > TEXTS_BYTES - v->n_texts)
        stop("too many tokens");
    memcpy(v->texts + v->n_texts, text, n_bytes);
    v->tokens[v->n] = (ssw_gguf_text){v->texts + v->n_texts, n_bytes};
    v->types[v->n++] = type;
    v->n_texts += n_bytes;
}

/* GPT-2's printable character of each byte, as in its encoder.py. */
static void add_bytes(vocab *v, int without_byte)
{
    unsigned next = 256;
    for (int byte = 0; byte < 256; byte++) {
        bool is_printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
        unsigned c = is_printable ? (unsigned)byte : next++;
        char text[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
        if (c < 0x80)
            text[0] = (char)c;
        if (byte == 0 || byte != without_byte)
            add(v, text, c < 0x80 ? 1 : 2, 1);
    }
}

static void add_merges(vocab *v, const char *const *merges)
{
    for (size_t i = 0; merges[i]; i++) {
        char joined[256];
        const char *space = strchr(merges[i], ' ');
        snprintf(joined, sizeof joined, "%.*s%s", (int)(space - merges[i]), merges[i], space + 1);
        add(v, joined, strlen(joined), 1);
    }
}

/* SentencePiece: special tokens, bytes, characters, and pieces by falling score, "▁" for a space. */
static void add_pieces(vocab *v, const vocab_options *options)
{
    static const char *const pieces[] = {"▁",     "é",      "中", "▁w",   "he",       "ll", "hell",
                                         "hello", "▁hello", "aa", "aaaa", "aaaaaaaa", "▁a", "or",
                                         "▁▁",    "▁▁▁▁",   "lo", "\n",   NULL};
    if (!options->without_unknown)
        add(v, "<unk>", 5, 2);
    add(v, "<s>", 3, 3);
    add(v, "</s>", 4, 3);
    for (int byte = 0; byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)byte);
        if (byte == 0 || byte != options->without_byte)
            add(v, text, 6, 6);
    }
    for (char c = 'a'; c <= 'z'; c++)
        add(v, &c, 1, 1);
    for (size_t i = 0; pieces[i]; i++)
        add(v, pieces[i], strlen(pieces[i]), 1);
}

static void write_pieces(ssw_gguf_writer *writer, const vocab *v, const vocab_options *options)
{
    float scores[TOKENS_MAX];
    for (size_t i = 0; i < v->n; i++)
        scores[i] = -(float)i;
    ssw_gguf_writer_set_text(writer, "tokenizer.ggml.model", options->unigram ? "t5" : "llama");
    if (options->removes_extra_spaces)
        ssw_gguf_writer_set_bool(writer, "tokenizer.ggml.remove_extra_whitespaces", true);
    if (options->charsmap)
        ssw_gguf_writer_set_array(writer, "tokenizer.ggml.precompiled_charsmap", SSW_GGUF_U8,
                                  options->charsmap, options->n_charsmap_bytes);
    ssw_gguf_writer_set_array(writer, "tokenizer.ggml.scores", SSW_GGUF_F32, scores, v->n);
    ssw_gguf_writer_set_u32(writer, "tokenizer.ggml.eos_token_id", options->without_unknown ? 1 : 2);
    if (options->without_space_prefix)
        ssw_gguf_writer_set_bool(writer, "tokenizer.ggml.add_space_prefix", false);
}

static void write_merges(ssw_gguf_writer *writer, const vocab_options *options, const char *const *merges)
{
    ssw_gguf_text lines[TOKENS_MAX];
    size_t n_lines = 0;
    for (; merges[n_lines]; n_lines++)
        lines[n_lines] = (ssw_gguf_text){merges[n_lines], strlen(merges[n_lines])};
    ssw_gguf_writer_set_text(writer, "tokenizer.ggml.model", "gpt2");
    ssw_gguf_writer_set_text(writer, "tokenizer.ggml.pre", options->pre ? options->pre : "gpt-4o");
    ssw_gguf_writer_set_texts(writer, "tokenizer.ggml.merges", lines, n_lines);
}

const char *write_vocab_file(const vocab_options *options)
{
    static const char *const controls[] = {"<|start|>",  "<|end|>",       "<|message|>", "<|channel|>",
                                           "<|return|>", "<|constrain|>", "<|call|>",    NULL};
    static vocab v;
    ssw_error err;
    ssw_gguf_writer *writer;
    const char *const *merges = options->merges ? options->merges : usual_merges;
    v = (vocab){.n = 0};
    if (options->sentencepiece) {
        add_pieces(&v, options);
    } else {
        add_bytes(&v, options->without_byte);
        add_merges(&v, merges);
    }
    for (size_t i = 0; controls[i]; i++) {
        if (!options->without_call || strcmp(controls[i], "<|call|>") != 0)
            add(&v, controls[i], strlen(controls[i]), 3);
    }
    add(&v, "<user thing>", 12, 4); /* user-defined: recognised always */
    add(&v, "<user thing> 2", 14, 4);
    add(&v, "<|assistant|>", 13, 3);
    add(&v, "<|system|>", 10, 3);
    add(&v, "<|im_start|>", 12, 3);
    add(&v, "<|im_end|>", 10, 3);
    add(&v, "<｜User｜>", 12, 4); /* DeepSeek's, called user-defined */
    add(&v, "<｜Assistant｜>", 17, 4);
    add(&v, "<|user|>", 8, 4); /* called user-defined, but a control token by its form */
    snprintf(path, sizeof path, "/tmp/ssw-vocab-%ld.gguf", (long)getpid());
    if (ssw_gguf_writer_open(path, 0, &writer, &err) != SSW_OK)
        stop(err.message);
    if (options->architecture)
        ssw_gguf_writer_set_text(writer, "general.architecture", options->architecture);
    if (options->sentencepiece)
        write_pieces(writer, &v, options);
    else
        write_merges(writer, options, merges);
    ssw_gguf_writer_set_texts(writer, "tokenizer.ggml.tokens", v.tokens, v.n);
    ssw_gguf_writer_set_array(writer, "tokenizer.ggml.token_type", SSW_GGUF_I32, v.types, v.n);
    ssw_gguf_writer_set_u32(writer, "tokenizer.ggml.bos_token_id",
                            options->sentencepiece && !options->without_unknown);
    if (options->chat_template)
        ssw_gguf_writer_set_text(writer, "tokenizer.chat_template", options->chat_template);
    if (ssw_gguf_writer_begin_data(writer, &err) != SSW_OK || ssw_gguf_writer_finish(writer, &err) != SSW_OK)
        stop(err.message);
    ssw_gguf_writer_close(writer);
    return path;
}

void remove_vocab_file(void)
{
    unlink(path);
}
