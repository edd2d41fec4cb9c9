/* A stand-in for libnvidia-ml.so.1: the few functions that a meter calls, answered from the
 * file named by FAKE_NVML_TRACE as functions of the wall clock. trace.py says what the lines
 * of that file mean and computes the same figures. */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    DRIVER_NOT_LOADED = 9,
    GPU_IS_LOST = 15
};
enum { POWER_AVERAGE = 185, POWER_INSTANT = 186, UNSIGNED_INT = 1 };
enum { MAX_DEVICES = 16, MAX_EVENTS = 512 };

typedef struct { double start, end; } Span;

typedef struct {
    char uuid[96], name[96];
    double base_w, limit_w;
    unsigned long long counter_mj, memory_mb;
    int powers, resets, freezes, losses;
    Span power[MAX_EVENTS]; /* end: the power from start on */
    double reset[MAX_EVENTS];
    Span freeze[MAX_EVENTS], loss[MAX_EVENTS];
    int counter_code, field_code, usage_code;
} Device;

typedef union {
    double d;
    unsigned int ui;
    unsigned long ul;
    unsigned long long ull;
} Value;

typedef struct {
    uint32_t field_id, scope_id;
    int64_t timestamp, latency;
    unsigned int value_type, result;
    Value value;
} FieldValue;

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned int gpu, memory; } Utilization;

static Device devices[MAX_DEVICES];
static int device_count;
static int users;
static double epoch;
static double tick; /* the counters are updated so often, in s; 0: they are always up to date */

static int read_line(const char *line)
{
    Device *device = device_count ? &devices[device_count - 1] : NULL;
    char what[16];
    double a, b;
    int code;
    if (sscanf(line, "epoch %lf", &epoch) == 1 || sscanf(line, "tick %lf", &tick) == 1)
        return 1;
    if (strncmp(line, "device ", 7) == 0 && device_count < MAX_DEVICES) {
        device = &devices[device_count++];
        memset(device, 0, sizeof *device);
        return sscanf(line, "device %95s %lf %llu %lf %llu %95[^\n]", device->uuid,
                      &device->base_w, &device->counter_mj, &device->limit_w,
                      &device->memory_mb, device->name) == 6;
    }
    if (device == NULL)
        return 0;
    if (sscanf(line, "power %lf %lf", &a, &b) == 2 && device->powers < MAX_EVENTS)
        device->power[device->powers++] = (Span){a, b};
    else if (sscanf(line, "reset %lf", &a) == 1 && device->resets < MAX_EVENTS)
        device->reset[device->resets++] = a;
    else if (sscanf(line, "freeze %lf %lf", &a, &b) == 2 && device->freezes < MAX_EVENTS)
        device->freeze[device->freezes++] = (Span){a, b};
    else if (sscanf(line, "lost %lf %lf", &a, &b) == 2 && device->losses < MAX_EVENTS)
        device->loss[device->losses++] = (Span){a, b};
    else if (sscanf(line, "code %15s %d", what, &code) == 2) {
        if (strcmp(what, "counter") == 0) device->counter_code = code;
        else if (strcmp(what, "field") == 0) device->field_code = code;
        else if (strcmp(what, "usage") == 0) device->usage_code = code;
        else return 0;
    } else
        return 0;
    return 1;
}

static int load(void)
{
    const char *path = getenv("FAKE_NVML_TRACE");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[512];
    if (file == NULL)
        return DRIVER_NOT_LOADED;
    device_count = 0;
    while (fgets(line, sizeof line, file))
        if (!read_line(line)) {
            fprintf(stderr, "fake nvml: cannot read: %s", line);
            fclose(file);
            return DRIVER_NOT_LOADED;
        }
    fclose(file);
    return SUCCESS;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9 - epoch;
}

static double power_at(const Device *device, double t)
{
    double watts = device->base_w;
    for (int i = 0; i < device->powers; i++)
        if (device->power[i].start <= t)
            watts = device->power[i].end;
    return watts;
}

static double energy_between(const Device *device, double start, double end)
{
    double total = 0, watts = device->base_w, low = 0;
    for (int i = 0; i <= device->powers; i++) {
        double high = i < device->powers ? device->power[i].start : INFINITY;
        double length = fmin(end, high) - fmax(start, low);
        if (length > 0)
            total += watts * length;
        if (i < device->powers) {
            watts = device->power[i].end;
            low = high;
        }
    }
    return total;
}

static unsigned long long counter_at(const Device *device, double t)
{
    unsigned long long base = device->counter_mj;
    double start = 0, counted;
    for (int i = 0; i < device->resets; i++)
        if (device->reset[i] <= t && (base != 0 || device->reset[i] > start)) {
            start = device->reset[i];
            base = 0;
        }
    counted = energy_between(device, start, t);
    for (int i = 0; i < device->freezes; i++)
        counted -= energy_between(device, fmax(start, device->freeze[i].start),
                                  fmax(start, fmin(t, device->freeze[i].end)));
    return base + (unsigned long long)(counted * 1000.0);
}

static int state_of(const Device *device, double t)
{
    if (users == 0)
        return UNINITIALIZED;
    if (device < devices || device >= devices + device_count)
        return INVALID_ARGUMENT;
    for (int i = 0; i < device->losses; i++)
        if (device->loss[i].start <= t && t < device->loss[i].end)
            return GPU_IS_LOST;
    return SUCCESS;
}

static int copy_text(const char *text, char *buffer, unsigned int length)
{
    return snprintf(buffer, length, "%s", text) < (int)length ? SUCCESS : 7;
}

int nvmlInitWithFlags(unsigned int flags)
{
    int code = users == 0 ? load() : SUCCESS;
    (void)flags;
    if (code == SUCCESS)
        users++;
    return code;
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void)
{
    if (users == 0)
        return UNINITIALIZED;
    users--;
    return SUCCESS;
}

const char *nvmlErrorString(int code)
{
    static _Thread_local char text[32];
    snprintf(text, sizeof text, "fake NVML code %d", code);
    return text;
}

int nvmlSystemGetDriverVersion(char *buffer, unsigned int length)
{
    return copy_text("999.0", buffer, length);
}

int nvmlDeviceGetCount_v2(unsigned int *count)
{
    if (users == 0)
        return UNINITIALIZED;
    *count = (unsigned int)device_count;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, Device **device)
{
    if (users == 0)
        return UNINITIALIZED;
    if (index >= (unsigned int)device_count)
        return INVALID_ARGUMENT;
    *device = &devices[index];
    return state_of(*device, now());
}

int nvmlDeviceGetHandleByUUID(const char *uuid, Device **device)
{
    if (users == 0)
        return UNINITIALIZED;
    for (int i = 0; i < device_count; i++)
        if (strcmp(devices[i].uuid, uuid) == 0) {
            *device = &devices[i];
            return state_of(*device, now());
        }
    return NOT_FOUND;
}

int nvmlDeviceGetUUID(Device *device, char *buffer, unsigned int length)
{
    int code = state_of(device, now());
    return code ? code : copy_text(device->uuid, buffer, length);
}

int nvmlDeviceGetName(Device *device, char *buffer, unsigned int length)
{
    int code = state_of(device, now());
    return code ? code : copy_text(device->name, buffer, length);
}

int nvmlDeviceGetIndex(Device *device, unsigned int *index)
{
    *index = (unsigned int)(device - devices);
    return state_of(device, now());
}

int nvmlDeviceGetMemoryInfo(Device *device, Memory *memory)
{
    int code = state_of(device, now());
    if (code == SUCCESS) {
        memory->total = device->memory_mb << 20;
        memory->used = 0;
        memory->free = memory->total;
    }
    return code;
}

int nvmlDeviceGetEnforcedPowerLimit(Device *device, unsigned int *milliwatts)
{
    int code = state_of(device, now());
    if (code == SUCCESS)
        *milliwatts = (unsigned int)(device->limit_w * 1000.0);
    return code;
}

int nvmlDeviceGetPowerUsage(Device *device, unsigned int *milliwatts)
{
    double t = now();
    int code = state_of(device, t);
    if (code == SUCCESS && device->usage_code)
        return device->usage_code;
    if (code == SUCCESS)
        *milliwatts = (unsigned int)lround(power_at(device, t) * 1000.0);
    return code;
}

int nvmlDeviceGetTotalEnergyConsumption(Device *device, unsigned long long *millijoules)
{
    double t = now();
    int code = state_of(device, t);
    if (code == SUCCESS && device->counter_code)
        return device->counter_code;
    if (code == SUCCESS)
        *millijoules = counter_at(device, tick > 0 ? floor(t / tick) * tick : t);
    return code;
}

int nvmlDeviceGetFieldValues(Device *device, int count, FieldValue *values)
{
    double t = now();
    int code = state_of(device, t);
    if (code != SUCCESS)
        return code;
    for (int i = 0; i < count; i++) {
        FieldValue *value = &values[i];
        int known = value->field_id == POWER_AVERAGE || value->field_id == POWER_INSTANT;
        value->result = (unsigned int)(known ? device->field_code : NOT_SUPPORTED);
        value->value_type = UNSIGNED_INT;
        value->value.ui = (unsigned int)lround(power_at(device, t) * 1000.0);
    }
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(Device *device, Utilization *utilization)
{
    int code = state_of(device, now());
    utilization->gpu = 50;
    utilization->memory = 10;
    return code;
}

int nvmlDeviceGetMigMode(Device *device, unsigned int *current, unsigned int *pending)
{
    (void)device;
    (void)current;
    (void)pending;
    return NOT_SUPPORTED;
}
