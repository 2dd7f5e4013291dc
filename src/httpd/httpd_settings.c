/* What a service changes while it is not up, as the directives declare it. */
#include "httpd/httpd_declare.h"

#include "core/fo_parse.h"

#include <string.h>

fo_setting_t *httpd_setting_add(apr_array_header_t *settings, fo_setting_e kind, const char *name,
                                const char *value)
{
    fo_setting_t *setting = apr_array_push(settings);

    setting->kind = kind;
    setting->name = name;
    setting->value = value;
    setting->serial = httpd_config()->n_settings++;
    return setting;
}

const char *httpd_setting_value(cmd_parms *cmd, apr_array_header_t *settings, fo_setting_e kind,
                                const char *name, const char *value, bool is_unsafe)
{
    const char *error = fo_parse_variable(name, cmd->pool);
    const char *client_sent = NULL;
    const void *expression = NULL;

    if (!error && strstr(value, "%{"))
        error = httpd_expr_parse(cmd, value, &expression, &client_sent);
    if (!error && client_sent && !is_unsafe)
        error = apr_psprintf(cmd->pool,
                             "the value of %s reads '%s', which a client can choose; if "
                             "that is meant, write %s inside <FailoverService> with a "
                             "third word, unsafe",
                             name, client_sent,
                             kind == FO_SETTING_NOTE ? "FailoverNote" : "FailoverSetEnv");
    if (!error)
        httpd_setting_add(settings, kind, apr_pstrdup(cmd->pool, name),
                          apr_pstrdup(cmd->pool, value))
            ->expression = expression;
    return error;
}

static const char *declare_value(cmd_parms *cmd, fo_setting_e kind, const char *name,
                                 const char *value, const char *unsafe)
{
    apr_array_header_t *settings = httpd_declare_settings(cmd);

    if (!settings)
        return httpd_declare_outside(cmd);
    if (unsafe && strcmp(unsafe, "unsafe") != 0)
        return apr_psprintf(cmd->pool,
                            "%s: the third word can only be 'unsafe', not '%s' (quote a "
                            "value that has blanks)",
                            cmd->cmd->name, unsafe);
    return httpd_prefixed(cmd, httpd_setting_value(cmd, settings, kind, name, value ? value : "",
                                                   unsafe != NULL));
}

const char *httpd_declare_set_env(cmd_parms *cmd, void *unused, const char *name, const char *value,
                                  const char *unsafe)
{
    (void)unused;
    return declare_value(cmd, FO_SETTING_SET, name, value, unsafe);
}

const char *httpd_declare_note(cmd_parms *cmd, void *unused, const char *name, const char *value,
                               const char *unsafe)
{
    (void)unused;
    return declare_value(cmd, FO_SETTING_NOTE, name, value, unsafe);
}

const char *httpd_declare_unset_env(cmd_parms *cmd, void *unused, const char *name)
{
    apr_array_header_t *settings = httpd_declare_settings(cmd);
    const char *error = fo_parse_variable(name, cmd->pool);

    (void)unused;
    if (!settings)
        return httpd_declare_outside(cmd);
    if (!error)
        httpd_setting_add(settings, FO_SETTING_UNSET, name, NULL);
    return httpd_prefixed(cmd, error);
}

const char *httpd_setting_alias(cmd_parms *cmd, apr_array_header_t *settings, const char *alias,
                                const char *stand_in)
{
    const char *error = fo_parse_variable(alias, cmd->pool);

    if (!error)
        error = fo_parse_variable(stand_in, cmd->pool);
    if (!error && strncasecmp(alias, stand_in, strlen(alias)) == 0)
        error = apr_psprintf(cmd->pool,
                             "'%s' begins with '%s', so it would stand in for itself: "
                             "two beginnings that differ are needed, as in DB_SLAVE_ "
                             "DB_DEFAULT_",
                             stand_in, alias);
    if (!error)
        httpd_setting_add(settings, FO_SETTING_ALIAS, alias, stand_in);
    return error;
}

const char *httpd_declare_alias(cmd_parms *cmd, void *unused, const char *alias,
                                const char *stand_in)
{
    apr_array_header_t *settings = httpd_declare_settings(cmd);

    (void)unused;
    if (!settings)
        return httpd_declare_outside(cmd);
    return httpd_prefixed(cmd, httpd_setting_alias(cmd, settings, alias, stand_in));
}
