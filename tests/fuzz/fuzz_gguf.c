/* A hostile GGUF: whatever the reader accepts must be safe to read through, and a tokenizer and a chat format
 * opened from it must stand use. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf.h"
#include "gguf/tensor_class.h"
#include "token/chat.h"
#include "token/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static volatile unsigned char sink;

static void touch(const void *bytes, size_t n_bytes)
{
    if (n_bytes)
        sink =
            (unsigned char)(((const unsigned char *)bytes)[0] ^ ((const unsigned char *)bytes)[n_bytes - 1]);
}

static void read_key(const ssw_gguf *gguf, const ssw_gguf_key *key)
{
    uint64_t u;
    int64_t i;
    double d;
    bool b;
    ssw_gguf_text text;
    if (ssw_gguf_find_key(gguf, ssw_gguf_key_name(key)) != key)
        abort();
    ssw_gguf_read_u64(key, &u);
    ssw_gguf_read_i64(key, &i);
    ssw_gguf_read_f64(key, &d);
    ssw_gguf_read_bool(key, &b);
    if (ssw_gguf_read_text(key, &text))
        touch(text.bytes, text.n_bytes);
    for (uint64_t k = 0; ssw_gguf_array_text(key, k, &text); k++)
        touch(text.bytes, text.n_bytes);
    const unsigned char *data = ssw_gguf_array_data(key);
    if (data && ssw_gguf_array_length(key) > 0) /* at least one byte for each element */
        touch(data, (size_t)ssw_gguf_array_length(key));
}

static bool is_text(const ssw_gguf *gguf, const char *key, const char *value)
{
    ssw_gguf_text text;
    return ssw_gguf_read_text(ssw_gguf_find_key(gguf, key), &text) && text.n_bytes == strlen(value) &&
           memcmp(text.bytes, value, text.n_bytes) == 0;
}

static void use_tokenizer(const ssw_gguf *gguf)
{
    static const char text[] = "<|start|>Hello world, it's\n 123 \xf0\x9f\x8c\x8d\xff<|end|>";
    ssw_error err = {0};
    ssw_tokenizer *tokenizer;
    ssw_chat *chat;
    if (ssw_tokenizer_open(gguf, &tokenizer, &err) != SSW_OK)
        return;
    ssw_tokens tokens = {0};
    if (ssw_tokenizer_encode(tokenizer, text, sizeof text - 1, true, &tokens, &err) == SSW_OK) {
        ssw_strbuf back;
        ssw_strbuf_init(&back, 1 << 20);
        /* SentencePiece writes <unk> where a byte has no token, and Phi-3's control tokens strip. */
        bool is_exact = is_text(gguf, "tokenizer.ggml.model", "gpt2") &&
                        !is_text(gguf, "general.architecture", "phi3") &&
                        !is_text(gguf, "general.architecture", "phimoe");
        for (size_t i = 0, n_controls = 0; !is_exact && i <= tokens.n; i++) {
            is_exact = i == tokens.n && n_controls == 0;
            n_controls += i < tokens.n && ssw_tokenizer_is_control(tokenizer, tokens.ids[i]);
        }
        if (ssw_tokenizer_decode(tokenizer, tokens.ids, tokens.n, true, &back, &err) != SSW_OK)
            abort();
        if (is_exact && (back.n_bytes != sizeof text - 1 || memcmp(back.data, text, back.n_bytes) != 0))
            abort();
        ssw_strbuf_deinit(&back);
    }
    tokens.n = 0;
    if (ssw_chat_open(gguf, tokenizer, &chat, &err) == SSW_OK) {
        const ssw_chat_message message = {SSW_CHAT_USER, text, sizeof text - 1};
        const ssw_chat_options options = {SSW_CHAT_EFFORT_LOW, 0};
        ssw_chat_render(chat, &message, 1, &options, &tokens, &err);
        ssw_chat_close(chat);
    }
    ssw_tokens_deinit(&tokens);
    ssw_tokenizer_close(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
    ssw_error err = {0};
    ssw_gguf *gguf;
    if (ssw_gguf_open_memory("input", bytes, n_bytes, &gguf, &err) != SSW_OK) {
        if (gguf || strncmp(err.message, "input: ", 7) != 0 || strchr(err.message, '\n'))
            abort();
        return 0;
    }
    for (size_t i = 0; i < ssw_gguf_count_keys(gguf); i++)
        read_key(gguf, ssw_gguf_key_at(gguf, i));
    for (size_t i = 0; i < ssw_gguf_count_tensors(gguf); i++) {
        const ssw_gguf_tensor *tensor = ssw_gguf_tensor_at(gguf, i);
        if (ssw_gguf_find_tensor(gguf, tensor->name) != tensor || tensor->n_bytes == 0)
            abort();
        touch(tensor->data, (size_t)tensor->n_bytes);
        ssw_tensor_role_of(tensor->name);
    }
    use_tokenizer(gguf);
    ssw_gguf_close(gguf);
    return 0;
}
