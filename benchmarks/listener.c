/* The least that a C program on libmosquitto has to do to know who is there: hear every heartbeat, and keep
 * for each topic when it was heard last. `listener PORT QOS COUNT` prints a line once it is subscribed, and
 * one after each COUNT messages. */
#include <mosquitto.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLOTS (1u << 20)

static struct { char *topic; int64_t seen_ns; } sessions[SLOTS];
static long count, heard;

static void note(const char *topic) {
    uint32_t hash = 2166136261u;
    for (const char *at = topic; *at; at++) hash = (hash ^ (unsigned char)*at) * 16777619u;
    uint32_t slot = hash & (SLOTS - 1);
    while (sessions[slot].topic && strcmp(sessions[slot].topic, topic)) slot = (slot + 1) & (SLOTS - 1);
    if (!sessions[slot].topic) sessions[slot].topic = strdup(topic);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    sessions[slot].seen_ns = now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void on_message(struct mosquitto *client, void *data, const struct mosquitto_message *message) {
    (void)client, (void)data;
    note(message->topic);
    if (++heard % count == 0) puts("heard"), fflush(stdout);
}

static void on_connect(struct mosquitto *client, void *qos, int refused) {
    if (refused) exit(2);
    mosquitto_subscribe(client, NULL, "whosin/v1/up/#", *(int *)qos);
}

static void on_subscribe(struct mosquitto *client, void *data, int id, int n, const int *granted) {
    (void)client, (void)data, (void)id, (void)n, (void)granted;
    puts("subscribed"), fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc != 4) return 1;
    int qos = atoi(argv[2]);
    count = atol(argv[3]);
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new("c-listener", true, &qos);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_subscribe_callback_set(client, on_subscribe);
    mosquitto_message_callback_set(client, on_message);
    if (mosquitto_connect(client, "127.0.0.1", atoi(argv[1]), 60)) return 3;
    return mosquitto_loop_forever(client, -1, 1);
}
