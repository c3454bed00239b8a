/* Tokens to text. */
#include "serve/text_stream.h"

#include "serve/wire_text.h"

#define PLACE "place" /* where a token's text begins in the content; taken out before the entry is given */

ssw_status ssw_text_stream_init(ssw_text_stream *stream, const ssw_tokenizer *tokenizer, const ssw_chat *chat,
                                const ssw_generation_request *request, ssw_error *err)
{
    *stream = (ssw_text_stream){
        .tokenizer = tokenizer,
        .wants_logprobs = request->wants_logprobs,
        .n_top = request->n_top_logprobs,
    };
    if (chat) {
        ssw_status status = ssw_chat_parser_open(chat, &stream->parser, err);
        if (status != SSW_OK)
            return status;
    }
    ssw_detokenizer_init(&stream->detokenizer, tokenizer);
    ssw_stop_filter_init(&stream->filter, request->stops, request->n_stops);
    ssw_strbuf_init(&stream->raw, SSW_TEXT_PIECE_BYTES_MAX);
    ssw_strbuf_init(&stream->content, SSW_TEXT_PIECE_BYTES_MAX);
    ssw_strbuf_init(&stream->reasoning, SSW_TEXT_PIECE_BYTES_MAX);
    if (stream->wants_logprobs) {
        stream->undecided = json_array();
        stream->logprobs = json_array();
    }
    return SSW_OK;
}

void ssw_text_stream_deinit(ssw_text_stream *stream)
{
    if (stream->parser)
        ssw_chat_parser_close(stream->parser);
    ssw_stop_filter_deinit(&stream->filter);
    ssw_strbuf_deinit(&stream->raw);
    ssw_strbuf_deinit(&stream->content);
    ssw_strbuf_deinit(&stream->reasoning);
    json_decref(stream->undecided);
    json_decref(stream->logprobs);
    stream->undecided = stream->logprobs = NULL;
}

/* {"token", "logprob", "bytes"}; a logprob of minus infinity, which JSON cannot write, becomes -9999 as at
 * OpenAI. */
static json_t *describe_token(const ssw_tokenizer *tokenizer, int32_t token, float logprob)
{
    size_t n_bytes = 0;
    const char *piece = ssw_tokenizer_piece(tokenizer, token, &n_bytes);
    json_t *bytes = json_array();
    for (size_t i = 0; i < n_bytes; i++)
        json_array_append_new(bytes, json_integer((unsigned char)piece[i]));
    return json_pack("{s:o, s:f, s:o}", "token", ssw_wire_text(piece, n_bytes), "logprob",
                     logprob > -9999.0f ? (double)logprob : -9999.0, "bytes", bytes);
}

static void note_logprobs(ssw_text_stream *stream, const ssw_queued_token *token)
{
    json_t *entry = describe_token(stream->tokenizer, token->token, token->logprob);
    json_t *top = json_array();
    for (int32_t i = 0; i < token->n_top && i < stream->n_top; i++)
        json_array_append_new(top,
                              describe_token(stream->tokenizer, token->top[i].token, token->top[i].logprob));
    json_object_set_new(entry, "top_logprobs", top);
    json_object_set_new(entry, PLACE, json_integer(stream->n_before_filter));
    json_array_append_new(stream->undecided, entry);
}

/* Tokens belong to the content if content came of them. The words of a channel's header look like text until
 * the control token after them says otherwise. */
static void sort_logprobs(ssw_text_stream *stream, const ssw_queued_token *token, bool gave_content)
{
    note_logprobs(stream, token);
    bool is_control = ssw_tokenizer_is_control(stream->tokenizer, token->token);
    if (gave_content || (!stream->parser && !is_control))
        json_array_extend(stream->logprobs, stream->undecided);
    else if (!is_control && stream->reasoning.n_bytes == 0)
        return;
    json_array_clear(stream->undecided);
}

static bool filter_content(ssw_text_stream *stream)
{
    size_t n_before = stream->content.n_bytes;
    bool has_stopped = ssw_stop_filter_push(&stream->filter, ssw_strbuf_text(&stream->raw),
                                            stream->raw.n_bytes, &stream->content);
    stream->n_before_filter += (int64_t)stream->raw.n_bytes;
    stream->n_given += (int64_t)(stream->content.n_bytes - n_before);
    return has_stopped;
}

bool ssw_text_stream_push(ssw_text_stream *stream, const ssw_queued_token *token)
{
    ssw_strbuf_clear(&stream->raw);
    if (stream->parser)
        ssw_chat_parser_push(stream->parser, token->token, &stream->raw, &stream->reasoning);
    else
        ssw_detokenizer_push(&stream->detokenizer, token->token, &stream->raw);
    if (stream->wants_logprobs)
        sort_logprobs(stream, token, stream->raw.n_bytes > 0);
    return filter_content(stream);
}

void ssw_text_stream_flush(ssw_text_stream *stream)
{
    ssw_strbuf_clear(&stream->raw);
    if (stream->parser)
        ssw_chat_parser_flush(stream->parser, &stream->raw, &stream->reasoning);
    else
        ssw_detokenizer_flush(&stream->detokenizer, &stream->raw);
    if (filter_content(stream))
        return;
    ssw_stop_filter_flush(&stream->filter, &stream->content);
    stream->n_given = INT64_MAX; /* nothing is held back any more */
}

json_t *ssw_text_stream_take_logprobs(ssw_text_stream *stream)
{
    if (!stream->wants_logprobs)
        return NULL;
    json_t *taken = json_array(), *kept = json_array();
    size_t i;
    json_t *entry;
    json_array_foreach(stream->logprobs, i, entry)
    {
        bool is_given = json_integer_value(json_object_get(entry, PLACE)) < stream->n_given;
        if (is_given)
            json_object_del(entry, PLACE);
        json_array_append(is_given ? taken : kept, entry);
    }
    json_decref(stream->logprobs);
    stream->logprobs = kept;
    return taken;
}
