/* probe_words.h: what a server says, made fit for a report: it may come from anyone. */
#ifndef PROBE_WORDS_H
#define PROBE_WORDS_H

/* One line of ASCII. */
static inline void probe_words_mask(char *text)
{
    for (; *text; text++)
        if (*text < 0x20 || *text > 0x7e)
            *text = '?';
}

#endif
