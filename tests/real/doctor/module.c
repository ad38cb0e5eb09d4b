/* A module of Redis that does nothing: two servers may differ in it. The calls are those of redismodule.h
 * (RedisModule_Init), which is not installed with the server. */
#include <stddef.h>

int RedisModule_OnLoad(void *ctx, void **argv, int argc) {
    (void)argv, (void)argc;
    int (*get)(const char *, void *) = (int (*)(const char *, void *))((void **)ctx)[0];
    int (*attributes)(void *, const char *, int, int) = NULL;
    get("RedisModule_SetModuleAttribs", (void *)&attributes);
    attributes(ctx, "nothing", 1, 1);
    return 0;
}
