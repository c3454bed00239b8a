/* /tokenize and /detokenize, in llama-server's shapes. */
#include "serve/exchange.h"
#include "serve/generation.h"
#include "serve/request_fields.h"
#include "serve/wire_text.h"

enum { DETOKENIZED_BYTES_MAX = 64 << 20 };

/* {"id", "piece"}: the piece as text, or as bytes if it is not UTF-8 by itself. */
static json_t *describe_piece(const ssw_tokenizer *tokenizer, int32_t id)
{
    size_t n_bytes = 0;
    const char *piece = ssw_tokenizer_piece(tokenizer, id, &n_bytes);
    json_t *text = json_stringn(piece, n_bytes);
    if (!text) {
        text = json_array();
        for (size_t i = 0; i < n_bytes; i++)
            json_array_append_new(text, json_integer((unsigned char)piece[i]));
    }
    return json_pack("{s:i, s:o}", "id", (int)id, "piece", text);
}

static bool tokenize(ssw_exchange *exchange, const json_t *root, json_t **out, ssw_http_fault *fault)
{
    const ssw_tokenizer *tokenizer = ssw_engine_tokenizer(exchange->engine);
    bool add_special = false, parse_special = true, with_pieces = false;
    if (!ssw_field_bool(root, "add_special", &add_special, fault) ||
        !ssw_field_bool(root, "parse_special", &parse_special, fault) ||
        !ssw_field_bool(root, "with_pieces", &with_pieces, fault))
        return false;
    const json_t *content = json_object_get(root, "content");
    if (!json_is_string(content))
        return ssw_fault_set(fault, 400, "content", "'content' must be a string");
    ssw_tokens tokens = {0};
    ssw_token_special special = ssw_tokenizer_special(tokenizer);
    ssw_error err;
    bool ok = true;
    if (add_special && special.add_bos && special.bos >= 0)
        ok = ssw_generation_append_id(&tokens, special.bos) ||
             ssw_fault_set(fault, 500, NULL, "memory ran out");
    if (ok && ssw_tokenizer_encode(tokenizer, json_string_value(content), json_string_length(content),
                                   parse_special, &tokens, &err) != SSW_OK)
        ok = ssw_fault_set_error(fault, &err);
    if (ok) {
        json_t *list = json_array();
        for (size_t i = 0; i < tokens.n; i++)
            json_array_append_new(list, with_pieces ? describe_piece(tokenizer, tokens.ids[i])
                                                    : json_integer(tokens.ids[i]));
        *out = json_pack("{s:o}", "tokens", list);
    }
    ssw_tokens_deinit(&tokens);
    return ok;
}

static bool detokenize(ssw_exchange *exchange, const json_t *root, json_t **out, ssw_http_fault *fault)
{
    const ssw_tokenizer *tokenizer = ssw_engine_tokenizer(exchange->engine);
    const json_t *list = json_object_get(root, "tokens");
    if (!json_is_array(list))
        return ssw_fault_set(fault, 400, "tokens", "'tokens' must be an array of numbers");
    ssw_strbuf text;
    ssw_strbuf_init(&text, DETOKENIZED_BYTES_MAX);
    bool ok = true;
    int32_t n_vocab = ssw_tokenizer_vocab_size(tokenizer);
    for (size_t i = 0; ok && i < json_array_size(list); i++) {
        const json_t *value = json_array_get(list, i);
        json_int_t id = json_integer_value(value);
        size_t n_bytes = 0;
        if (!json_is_integer(value) || id < 0 || id >= n_vocab)
            ok = ssw_fault_set(fault, 400, "tokens", "'tokens[%zu]' is not in the vocabulary of %d", i,
                               (int)n_vocab);
        else {
            const char *piece = ssw_tokenizer_piece(tokenizer, (int32_t)id, &n_bytes);
            ssw_strbuf_append(&text, piece, n_bytes);
        }
    }
    if (ok && text.failed)
        ok = ssw_fault_set(fault, 413, "tokens", "the text is larger than %d bytes",
                           (int)DETOKENIZED_BYTES_MAX);
    if (ok)
        *out = json_pack("{s:o}", "content", ssw_wire_text(ssw_strbuf_text(&text), text.n_bytes));
    ssw_strbuf_deinit(&text);
    return ok;
}

static void serve_object(ssw_exchange *exchange,
                         bool (*work)(ssw_exchange *, const json_t *, json_t **, ssw_http_fault *))
{
    json_t *root = NULL, *reply = NULL;
    ssw_http_fault fault = {0};
    bool ok = ssw_field_parse_body(ssw_strbuf_text(&exchange->body), exchange->body.n_bytes, &root, &fault) &&
              work(exchange, root, &reply, &fault);
    json_decref(root);
    if (ok)
        ssw_exchange_reply_json(exchange, 200, reply);
    else
        ssw_exchange_reply_fault(exchange, &fault);
}

void ssw_route_tokenize(ssw_exchange *exchange)
{
    serve_object(exchange, tokenize);
}

void ssw_route_detokenize(ssw_exchange *exchange)
{
    serve_object(exchange, detokenize);
}
